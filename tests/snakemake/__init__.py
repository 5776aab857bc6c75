"""What Snakemake's executors for AWS Batch make of what a workflow says: `make snakemake`."""

"""The command line: what people ask of runs, on AWS and on the embedded AWS alike."""

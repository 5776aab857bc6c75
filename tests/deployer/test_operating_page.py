"""What docs/operating.md says of the stack is so."""

import json
import re

from tests.architecture.imports import ROOT
from tests.architecture.stack import of_type, written

PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
# https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
KEPT_BY_AWS = 5


def test_every_statement_of_the_deployers_policy_is_explained():
    policy = json.loads((ROOT / "docs/deployer-policy.json").read_text(encoding="utf-8"))
    told = re.findall(r"`(\w+)`", PAGE.partition("## Updating")[0])
    assert {each["Sid"] for each in policy["Statement"]} <= set(told)


def test_jobs_outlive_an_update_of_their_machines_by_six_hours():
    environments = of_type("AWS::Batch::ComputeEnvironment", GpuMaxVcpus="64").values()
    assert len(environments) == 4
    for each in environments:
        assert each["ReplaceComputeEnvironment"] is False
        assert each["UpdatePolicy"] == {
            "TerminateJobsOnUpdate": False,
            "JobExecutionTimeoutMinutes": 360,
        }
    assert "for up to 6 hours on the old machines" in PAGE


def test_buckets_that_go_with_the_stack_are_emptied_first_and_the_other_stays():
    kept = {
        name: str(each.get("DeletionPolicy", "")).startswith("Retain")
        for name, each in written()["Resources"].items()
        if each["Type"] == "AWS::S3::Bucket"
    }
    emptied = re.findall(r"aws s3 rm --recursive s3://\$\(output (\w+)\)", PAGE)
    assert sorted(emptied) == sorted(name for name, stays in kept.items() if not stays)
    assert kept["DataBucket"]


def test_images_go_with_their_repository():
    [repository] = of_type("AWS::ECR::Repository").values()
    assert repository["EmptyOnDelete"] is True


def test_the_stacks_own_vpc_has_so_many_addresses():
    """!Cidr [a /16, two, 14 bits of a host]."""
    subnets = of_type("AWS::EC2::Subnet", VpcId="", SubnetIds="").values()
    bits = {each["CidrBlock"].rpartition("/")[2] for each in subnets}
    assert bits == {"18"}
    assert f"has {len(subnets) * (2**14 - KEPT_BY_AWS):,};" in PAGE


def test_quotas_are_reckoned_as_said():
    """16 vCPUs and 130 GiB a machine, a vCPU and ten minutes a container, 5 PUTs an input."""
    counts = json.loads((ROOT / "docs/counts.json").read_text(encoding="utf-8"))
    puts = counts["container"]["first_input"]["s3_put"]
    rows = {
        cells[1].strip(): cells
        for cells in (line.split("|") for line in PAGE.partition("## Quotas")[2].splitlines())
        if len(cells) > 5
    }
    for vcpus, column in ((10_000, 4), (100_000, 5)):
        machines, a_second = vcpus / 16, vcpus / 600
        storage = next(cells for what, cells in rows.items() if what.startswith("Storage for gp3"))
        tib = machines * 130 / 1024
        assert tib <= float(storage[column]) <= 1.02 * tib
        streams = next(cells for what, cells in rows.items() if what.startswith("CreateLogStream"))
        assert streams[column].strip().startswith(f"{a_second:.0f}")
        requests = next(cells for what, cells in rows.items() if what.startswith("S3 requests"))
        assert requests[column].strip().startswith(f"{puts * a_second:.0f} PUT")

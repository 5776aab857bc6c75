"""The network, the machines and the queues of the template, with and without what is optional."""

import json
from ipaddress import ip_network

import pytest

from drydock.failures import BLOCKED, classify
from local.parameters import TemplateError
from scripts.parameters import sections
from tests.architecture.stack import TEMPLATE, of_type, resources, written

GIVEN = {"VpcId": "vpc-0123456789abcdef0", "SubnetIds": "subnet-0a1,subnet-0b2"}
OWN = {"VpcId": "", "SubnetIds": ""}
GPUS = {"GpuMaxVcpus": "64"}
NETWORK = {
    *("AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::InternetGateway", "AWS::EC2::RouteTable"),
    *("AWS::EC2::VPCGatewayAttachment", "AWS::EC2::Route", "AWS::EC2::VPCEndpoint"),
    "AWS::EC2::SubnetRouteTableAssociation",
}


def environments(**parameters):
    found = of_type("AWS::Batch::ComputeEnvironment", **parameters)
    return {name: environment["ComputeResources"] for name, environment in found.items()}


# ---- the network


def test_a_given_network_is_used_and_none_is_made():
    kinds = {kind for kind, _ in resources(**GIVEN).values()}
    assert kinds & NETWORK == set()
    [group] = of_type("AWS::EC2::SecurityGroup", **GIVEN).values()
    assert group["VpcId"] == GIVEN["VpcId"]
    for machines in environments(**GIVEN).values():
        assert machines["Subnets"] == GIVEN["SubnetIds"].split(",")


def test_without_one_there_is_a_network_that_costs_nothing():
    """No NAT gateway, no kept address, no interface endpoint: those are billed by the hour."""
    kinds = {kind for kind, _ in resources(**OWN).values()}
    assert kinds >= NETWORK
    assert kinds & {"AWS::EC2::NatGateway", "AWS::EC2::EIP", "AWS::EC2::FlowLog"} == set()
    [endpoint] = of_type("AWS::EC2::VPCEndpoint", **OWN).values()
    assert endpoint["VpcEndpointType"] == "Gateway"
    assert endpoint["ServiceName"] == "com.amazonaws.us-east-1.s3"
    assert endpoint["RouteTableIds"] == list(of_type("AWS::EC2::RouteTable", **OWN))
    [group] = of_type("AWS::EC2::SecurityGroup", **OWN).values()
    assert group["VpcId"] == "Vpc"


def test_its_subnets_are_public_in_two_zones_and_have_room():
    subnets = of_type("AWS::EC2::Subnet", **OWN)
    assert len({subnet["AvailabilityZone"] for subnet in subnets.values()}) == len(subnets) == 2
    assert [subnet["MapPublicIpOnLaunch"] for subnet in subnets.values()] == [True, True]
    one, two = (ip_network(subnet["CidrBlock"]) for subnet in subnets.values())
    assert not one.overlaps(two)
    assert one.num_addresses + two.num_addresses == 32768
    [vpc] = of_type("AWS::EC2::VPC", **OWN).values()
    assert one.subnet_of(ip_network(vpc["CidrBlock"]))
    assert two.subnet_of(ip_network(vpc["CidrBlock"]))
    routed = of_type("AWS::EC2::SubnetRouteTableAssociation", **OWN).values()
    assert {route["SubnetId"] for route in routed} == set(subnets)
    for machines in environments(**OWN).values():
        assert machines["Subnets"] == list(subnets)


def test_the_way_out_is_there_before_the_machines_and_after_them():
    """What a resource depends on goes after it; an attachment with machines behind it stays."""
    order = list(resources(**OWN))
    for subnet in of_type("AWS::EC2::Subnet", **OWN):
        assert order.index("InternetGatewayAttachment") < order.index(subnet)
        assert written()["Resources"][subnet]["DependsOn"] == "PublicRoute"
    assert written()["Resources"]["PublicRoute"]["DependsOn"] == "InternetGatewayAttachment"


@pytest.mark.parametrize("network", [OWN, GIVEN], ids=["own", "given"])
def test_nothing_comes_in(network):
    [group] = of_type("AWS::EC2::SecurityGroup", **network).values()
    assert "SecurityGroupIngress" not in group
    [out] = group["SecurityGroupEgress"]
    assert (out["IpProtocol"], out["FromPort"], out["ToPort"]) == ("tcp", 443, 443)
    assert not of_type("AWS::EC2::SecurityGroupIngress", **network)


# ---- what is refused before anything is made


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({**GIVEN, "SubnetIds": ""}, "SubnetIds must name subnets of that VPC"),
        ({**GIVEN, "VpcId": ""}, "SubnetIds are given together with VpcId"),
        ({"VpcId": "my-vpc"}, "VpcId: 'my-vpc' is not the id of a VPC"),
        ({"SubnetIds": "subnet-1,vpc-2"}, "is not ids of subnets with commas"),
        ({"VpcCidr": "10.83.0.0/24"}, "'10.83.0.0/24' is not a private range"),
        ({"VpcCidr": "8.8.0.0/16"}, "'8.8.0.0/16' is not a private range"),
        ({"BidPercentage": "0"}, "BidPercentage: '0' is not a percentage"),
        ({"BidPercentage": "101"}, "BidPercentage: '101' is not a percentage"),
        ({"BidPercentage": "60.5"}, "BidPercentage: '60.5' is not a percentage"),
        ({"BlockedAfterSeconds": "599"}, "'599' is below 600"),
        ({"BlockedAfterSeconds": "86401"}, "'86401' is above 86400"),
        ({"MaxVcpus": "0"}, "'0' is below 1"),
        ({"ScratchKind": "INSTANCE_STORE"}, "INSTANCE_STORE needs InstanceTypes that have disks"),
        ({"ScratchKind": "RAM"}, "'RAM' is none of EBS, INSTANCE_STORE"),
        ({"DockerHubSecretArn": "dckr_pat_x"}, "is not the ARN of a secret"),
        ({"InstanceTypes": "m5,p3"}, "InstanceTypes: 'p3' is not instance types or families"),
        *(
            ({"GpuInstanceTypes": f"g5,{kind}"}, "have no driver for those")
            for kind in (
                "p2",
                "p3",
                "p3.8xlarge",
                "p3dn.24xlarge",
                "g3",
                "g3s",
                "g4ad",
                "g5g",
                "m5",
            )
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_refused_with_a_sentence(given, told):
    with pytest.raises(TemplateError) as refused:
        resources(**given)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"GpuInstanceTypes": "g4dn,g5,g6,g6e,gr6,p4d,p5en,p6-b200,g5.xlarge,p5.4xlarge", **GPUS},
        {"InstanceTypes": "default_x86_64,optimal,c7i,m7i-flex,c6id.metal,hpc7a.12xlarge"},
        {"ScratchKind": "INSTANCE_STORE", "InstanceTypes": "m5d,c6id"},
        {"BidPercentage": "1"},
        {"BidPercentage": "100"},
        {"VpcCidr": "172.31.0.0/16"},
        {"VpcCidr": "192.168.0.0/16"},
    ],
)
def test_what_works_is_taken(given):
    assert resources(**given)


# ---- machines


def test_idle_there_are_no_machines():
    for machines in environments(**GPUS).values():
        assert machines["MinvCpus"] == 0


def test_spot_is_what_is_least_interrupted_and_cheap_and_needs_no_fleet_role():
    machines = environments()["SpotComputeEnvironment"]
    assert machines["Type"] == "SPOT"
    assert machines["AllocationStrategy"] == "SPOT_PRICE_CAPACITY_OPTIMIZED"
    assert "SpotIamFleetRole" not in machines
    assert "BidPercentage" not in machines  # empty is AWS's own 100


def test_a_bid_is_for_spot_alone():
    bids = {n: m.get("BidPercentage") for n, m in environments(BidPercentage="70", **GPUS).items()}
    assert bids == {
        "SpotComputeEnvironment": "70",
        "OnDemandComputeEnvironment": None,
        "GpuSpotComputeEnvironment": "70",
        "GpuOnDemandComputeEnvironment": None,
    }


def test_without_gpus_nothing_of_them_is_made():
    assert [name for name in resources() if name.startswith("Gpu")] == []
    for function in of_type("AWS::Lambda::Function").values():
        variables = function["Environment"]["Variables"]
        assert variables["GPU_SPOT_QUEUE_ARN"] == variables["GPU_ON_DEMAND_QUEUE_ARN"] == ""


def test_machines_with_gpus_have_nvidias_drivers_and_their_own_bounds():
    found = environments(GpuInstanceTypes="g5,g6", **GPUS)
    for name, machines in found.items():
        [image] = machines["Ec2Configuration"]
        if name.startswith("Gpu"):
            assert image == {"ImageType": "ECS_AL2023_NVIDIA"}
            assert machines["InstanceTypes"] == ["g5", "g6"]
            assert machines["MaxvCpus"] == "64"
        else:
            assert image == {"ImageType": "ECS_AL2023"}
            assert machines["InstanceTypes"] == ["default_x86_64"]
            assert machines["MaxvCpus"] == "256"
    assert {machines["Type"] for machines in found.values()} == {"SPOT", "EC2"}
    assert len(found) == 4


def test_an_update_of_the_stack_leaves_running_jobs_alone():
    for environment in of_type("AWS::Batch::ComputeEnvironment", **GPUS).values():
        assert environment["ReplaceComputeEnvironment"] is False
        assert environment["UpdatePolicy"]["TerminateJobsOnUpdate"] is False


def launch(**parameters):
    [template] = of_type("AWS::EC2::LaunchTemplate", **parameters).values()
    return template["LaunchTemplateData"]


def test_the_metadata_of_a_machine_is_for_those_with_its_own_network():
    assert launch()["MetadataOptions"] == {
        "HttpEndpoint": "enabled",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
    }


def test_volumes_are_encrypted_and_go_with_their_machine():
    volumes = {v["DeviceName"]: v["Ebs"] for v in launch()["BlockDeviceMappings"]}
    assert volumes["/dev/sdf"]["VolumeSize"] == "100"
    assert {(v["VolumeType"], v["Encrypted"]) for v in volumes.values()} == {("gp3", True)}
    assert {v["DeleteOnTermination"] for v in volumes.values()} == {True}


def test_with_an_instance_store_there_is_no_volume_for_scratch():
    data = launch(ScratchKind="INSTANCE_STORE", InstanceTypes="m5d")
    assert [volume["DeviceName"] for volume in data["BlockDeviceMappings"]] == ["/dev/xvda"]


def test_machines_with_gpus_have_room_for_cudas_images():
    plain, with_gpus = (
        data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] for data in (launch(), launch(**GPUS))
    )
    assert plain < with_gpus


# ---- what a machine may


def statements(**parameters):
    role = of_type("AWS::IAM::Role", **parameters)["InstanceRole"]
    assert "ManagedPolicyArns" not in role
    return [each for policy in role["Policies"] for each in policy["PolicyDocument"]["Statement"]]


def test_a_machine_pulls_from_this_accounts_repositories_and_no_others():
    allowed = {
        action: statement["Resource"]
        for statement in statements()
        for action in [statement["Action"]] * isinstance(statement["Action"], str)
        or list(statement["Action"])
        if action.startswith("ecr:")
    }
    repositories = "arn:aws:ecr:us-east-1:123456789012:repository/*"
    assert allowed == {
        "ecr:GetAuthorizationToken": "*",
        "ecr:BatchCheckLayerAvailability": repositories,
        "ecr:GetDownloadUrlForLayer": repositories,
        "ecr:BatchGetImage": repositories,
    }


def test_a_machine_may_read_the_one_secret_that_it_needs():
    arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-AbCdEf"
    assert "secretsmanager" not in json.dumps(statements())
    [statement] = [s for s in statements(DockerHubSecretArn=arn) if "secrets" in json.dumps(s)]
    assert statement["Action"] == "secretsmanager:GetSecretValue"
    assert statement["Resource"] == arn


def test_a_machine_may_not_make_clusters_or_write_logs():
    """The cluster is Batch's, and logs are written by the execution role."""
    assert not any(word in json.dumps(statements()) for word in ("CreateCluster", "logs:"))


# ---- queues


def queues(**parameters):
    return of_type("AWS::Batch::JobQueue", **parameters)


def test_a_queue_has_machines_of_its_own():
    order = {
        name: [each["ComputeEnvironment"] for each in queue["ComputeEnvironmentOrder"]]
        for name, queue in queues(**GPUS).items()
    }
    assert order == {
        f"{kind}Queue": [f"{kind}ComputeEnvironment"]
        for kind in ("Spot", "OnDemand", "GpuSpot", "GpuOnDemand")
    }
    assert set(queues()) == {"SpotQueue", "OnDemandQueue"}


def test_what_cannot_start_does_not_block_a_queue_for_ever():
    """Batch acts for these reasons alone:
    https://docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable_time_limit_actions.html
    """
    for queue in queues(BlockedAfterSeconds="900", **GPUS).values():
        actions = queue["JobStateTimeLimitActions"]
        assert {action["Reason"] for action in actions} == {
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        }
        for action in actions:
            assert (action["State"], action["Action"]) == ("RUNNABLE", "CANCEL")
            assert action["MaxTimeSeconds"] == "900"


def test_a_job_that_a_queue_cancelled_means_what_kept_it_from_starting():
    policies = {}
    for action in queues()["SpotQueue"]["JobStateTimeLimitActions"]:
        told = f"Canceled by JobStateTimeLimit action due to reason: {action['Reason']}"
        verdict = classify(told, None, None)
        policies[action["Reason"].partition(":")[0]] = (verdict.failure_class, verdict.policy)
    assert policies == {
        "CAPACITY": ("capacity", "again"),
        "MISCONFIGURATION": (BLOCKED, "stop_run"),
    }


def test_with_gpus_all_hear_and_speak_of_their_queues():
    wanted = set(queues(**GPUS))
    rules = of_type("AWS::Events::Rule", **GPUS)
    for name in ("JobEndedRule", "ChildMisconfiguredRule"):
        assert set(rules[name]["EventPattern"]["detail"]["jobQueue"]) == wanted
    assert set(rules["QueueBlockedRule"]["EventPattern"]["resources"]) == wanted
    for function in of_type("AWS::Lambda::Function", **GPUS).values():
        variables = function["Environment"]["Variables"]
        assert variables["GPU_SPOT_QUEUE_ARN"] == "GpuSpotQueue"
        assert variables["GPU_ON_DEMAND_QUEUE_ARN"] == "GpuOnDemandQueue"


@pytest.mark.parametrize("parameters", [{}, GPUS], ids=["without GPUs", "with GPUs"])
def test_whoever_submits_may_use_every_queue(parameters):
    found = []
    for _, properties in resources(**parameters).values():
        documents = [properties.get("PolicyDocument", {})]
        documents += [each["PolicyDocument"] for each in properties.get("Policies", [])]
        found += [s for document in documents for s in document.get("Statement", [])]
    submitting = [s for s in found if "batch:SubmitJob" in s.get("Action", [])]
    assert submitting
    for statement in submitting:
        assert set(queues(**parameters)) <= set(statement["Resource"])


# ---- images


def test_the_stacks_repository_keeps_what_a_tag_means_and_looks_into_it():
    [repository] = of_type("AWS::ECR::Repository").values()
    assert repository["ImageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
    excluded = repository["ImageTagMutabilityExclusionFilters"]
    assert [each["ImageTagMutabilityExclusionFilterValue"] for each in excluded] == ["latest"]
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["EncryptionConfiguration"] == {"EncryptionType": "AES256"}
    assert repository["EmptyOnDelete"] is True
    rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged", "any"]
    assert {rule["action"]["type"] for rule in rules} == {"expire"}
    assert rules[1]["selection"]["countNumber"] == 100


def test_a_key_that_comes_later_leaves_the_repository_as_it_is():
    """Another encryption would replace it, and its images would be gone."""
    key = "arn:aws:kms:us-east-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    assert of_type("AWS::ECR::Repository", KmsKeyId=key) == of_type("AWS::ECR::Repository")


# ---- the console's form, and what a deployment tells


def test_the_consoles_form_shows_every_parameter_once_with_a_label():
    interface = written()["Metadata"]["AWS::CloudFormation::Interface"]
    shown = [(g["Label"]["default"], g["Parameters"]) for g in interface["ParameterGroups"]]
    assert shown == list(sections(TEMPLATE.read_text(encoding="utf-8")))
    labels = {name: label["default"] for name, label in interface["ParameterLabels"].items()}
    assert set(labels) == set(written()["Parameters"])
    assert all(labels.values())
    assert len(set(labels.values())) == len(labels)


def test_outputs_tell_of_gpus_only_where_there_are_any():
    outputs = written()["Outputs"]
    conditional = {name for name, output in outputs.items() if output.get("Condition") == "HasGpus"}
    assert conditional == {"GpuSpotQueueArn", "GpuOnDemandQueueArn"}
    told = {name: outputs[name]["Value"] for name in (*conditional, "WorkerRepositoryUri")}
    assert told == {
        "GpuSpotQueueArn": {"!Ref": "GpuSpotQueue"},
        "GpuOnDemandQueueArn": {"!Ref": "GpuOnDemandQueue"},
        "WorkerRepositoryUri": {"!GetAtt": "WorkerRepository.RepositoryUri"},
    }

"""EnumerateInputs: images, secrets, shared memory and GPUs of a request."""

import pytest

from drydock.definitions import Container
from drydock.stopping import stop_run
from local.images import digest_of
from tests.steps.enumerating import refused
from tests.steps.world import ECR, WORKER, World

ELSEWHERE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/lab/vina:2"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:lab/license-AbCdEf"
PARAMETER = "arn:aws:ssm:us-east-1:123456789012:parameter/lab/code"


def test_another_image_runs_by_a_definition_of_its_own(world):
    world.inputs(1)
    world.push(f"{ECR}/lab/vina:2", "vina 2")
    run = world.run(world.start(image=f"{ECR}/lab/vina:2"))
    assert run.current.image == f"{ECR}/lab/vina@{digest_of('vina 2')}"
    assert world.batch.registered == {
        run.current.job_definition_arn: Container(run.current.image, 64, {})
    }
    world.submit(run.run_id)
    (job,) = world.batch.live()
    assert job.request.definition_arn == run.current.job_definition_arn


def test_a_tag_that_is_moved_means_another_image_to_the_next_epoch_alone(world):
    world.inputs(1)
    run_id = world.start()
    world.push(WORKER, "a new worker")
    again = world.enumerate(world.request(), "one")
    assert again["image"] == f"{ECR}/drydock@{digest_of('the worker')}"
    world.executions.running.clear()
    world.start("two")
    images = [epoch.image for epoch in world.run(run_id).epochs]
    contents = ("the worker", "a new worker")
    assert images == [f"{ECR}/drydock@{digest_of(content)}" for content in contents]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (f"{ECR}/lab/vina:3", "repository lab/vina has no image 3"),
        (f"{ECR}/lab/vina@sha256:{'0' * 64}", "repository lab/vina has no image sha256:0000"),
        (f"{ECR}/lab/gnina:1", "there is no repository lab/gnina"),
        (f"{ECR}/other:1", f"this stack may run {WORKER}, {ECR}/lab/, quay.io/lab"),
        (f"{ECR}/drydock:2", "this stack may run"),
        ("quay.io/lab/vina:2", "give it by its digest (quay.io/lab/vina@sha256:…)"),
        (ELSEWHERE, "outside of this account's ECR in us-east-1 nobody can be asked"),
    ],
)
def test_what_cannot_be_known_to_run_is_refused(image, said):
    world = World(ALLOWED_IMAGES=f"{ECR}/lab/,quay.io/lab,{ELSEWHERE}")
    world.push(f"{ECR}/lab/vina:2", "vina 2")
    world.inputs(1)
    (problem,) = refused(world, world.request(image=image))
    assert problem.startswith(f"image: {image!r} was given: ")
    assert said in problem


def test_an_image_from_elsewhere_runs_by_its_digest():
    world = World(ALLOWED_IMAGES="quay.io/lab")
    world.inputs(1)
    digest = "sha256:" + "a" * 64
    run = world.run(world.start(image=f"quay.io/lab/vina:2@{digest}"))
    assert run.current.image == f"quay.io/lab/vina@{digest}"


def test_the_stack_s_own_image_is_told_by_its_parameter_when_it_is_gone():
    world = World(WORKER_IMAGE=f"{ECR}/drydock:9")
    world.inputs(1)
    (problem,) = refused(world, world.request())
    assert problem == f"WorkerImage is '{ECR}/drydock:9': repository drydock has no image 9"


def test_shared_memory_and_secrets_are_of_the_definition():
    world = World(SECRET_ARNS=f"{SECRET},{PARAMETER}")
    world.inputs(1)
    secrets = {"LICENSE_KEY": f"{SECRET}:key::", "CODE": PARAMETER}
    run = world.run(world.start(secrets=secrets, resources={"shm_mib": 512}))
    (container,) = world.batch.registered.values()
    assert container == Container(run.current.image, 512, secrets)
    world.submit(run.run_id)
    (job,) = world.batch.live()
    document, _ = world.child(job, 0)
    assert document.variables == ("CODE", "LICENSE_KEY")
    assert not secrets.keys() & job.request.environment.keys()


@pytest.mark.parametrize(
    ("known", "said"), [("", "none, as its parameter SecretArns is empty"), (PARAMETER, PARAMETER)]
)
def test_a_secret_that_the_stack_was_not_given_is_refused(known, said):
    world = World(SECRET_ARNS=known)
    world.inputs(1)
    assert refused(world, world.request(secrets={"KEY": SECRET})) == [
        f"secrets.KEY: {SECRET!r} was given: this stack may read {said}"
    ]


def test_gpus_have_queues_of_their_own():
    world = World(GPU_SPOT_QUEUE_ARN="gpu-spot", GPU_ON_DEMAND_QUEUE_ARN="gpu-on-demand")
    world.inputs(1)
    run_id = world.start(tool="openmm", options={"steps": 10}, resources={"gpus": 1})
    world.submit(run_id)
    (job,) = world.batch.live()
    assert (job.request.queue_arn, job.request.gpus) == ("gpu-spot", 1)
    world.executions.running.clear()
    swept = stop_run(world.services, {"detail-type": "Scheduled Event"})
    assert swept.terminated == 1

"""What is allowed and no run here does, each with its reason."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.least_privilege.proof import Grant, Proof


@dataclass(frozen=True)
class Reason:
    """Why something is allowed that was not seen; all but the text may hold wildcards."""

    role: str
    statement: str
    action: str
    text: str
    resource: str = "*"

    def covers(self, grant: Grant) -> bool:
        """Whether it speaks of this grant."""
        return (
            fnmatchcase(grant.role, self.role)
            and fnmatchcase(grant.statement, self.statement)
            and fnmatchcase(grant.action, self.action)
            and fnmatchcase(grant.resource, self.resource)
        )


ADVANCING = ("SubmitShardFunctionRole", "ResubmitInterruptedFunctionRole", "StopRunFunctionRole")
"""The roles of the functions that call advance(shard), which may come to any of its effects."""

SHARED = ("AdvanceShardPolicy", "ReadDataPolicy", "EncryptionPolicy", "DecryptionPolicy")
"""What they all need for it: what one of them was seen to use, the others may have to."""

OTHER_CALLERS = "advance(shard) is one function: another of its three callers used it"

REASONS = (
    Reason(
        "*",
        "WriteDataPolicy/WriteObjects",
        "s3:AbortMultipartUpload",
        "an upload in parts that fails in its middle is given up; none does here",
    ),
    Reason(
        "RunStateMachineRole",
        "*/WatchTheMapsExecutions",
        "states:*Execution",
        "Step Functions' own look at the executions of a Map; the interpreter needs none",
    ),
    Reason(
        "RunStateMachineRole",
        "*/WriteTheOutcomes",
        "s3:*",
        "Step Functions writes outcomes beyond 5 MiB in parts and reads them back",
    ),
    Reason(
        "RunStateMachineRole",
        "*/WriteItsLog",
        "logs:*",
        "CloudFormation makes the machine, and its log's delivery is set up as this role",
    ),
    Reason(
        "*",
        "AdvanceShardPolicy/AnswerTaskTokens",
        "states:SendTaskSuccess",
        "AWS does not say whether a token of the Map's executions is the machine's or the Map's",
    ),
    Reason(
        "*",
        "AdvanceShardPolicy/SubmitJobs",
        "batch:*",
        "as for OnDemandQueue, once Spot was tried often enough; no machine here has GPUs",
        "${GpuOnDemandQueue}",
    ),
    Reason("InstanceRole", "join-the-cluster/*", "*", "the agent of ECS calls it on a machine"),
    Reason("InstanceRole", "pull-images/*", "ecr:*", "the agent of ECS pulls with it"),
    Reason("InstanceRole", "log-in-to-docker-hub/*", "*", "a machine reads it when it starts"),
)


@dataclass(frozen=True)
class Judged:
    """One grant with what speaks for it: the scenes that used it, else a reason, else nothing."""

    grant: Grant
    scenes: tuple[str, ...]
    reason: str


def judge(proof: Proof) -> list[Judged]:
    """Every grant, in order."""
    return [
        Judged(grant, tuple(proof.grants[grant]), _reason(grant, proof))
        for grant in sorted(proof.grants)
    ]


def _reason(grant: Grant, proof: Proof) -> str:
    if proof.grants[grant]:
        return ""
    if grant.role in ADVANCING and grant.statement.partition("/")[0] in SHARED:
        same = (Grant(role, grant.statement, grant.action, grant.resource) for role in ADVANCING)
        if any(proof.grants.get(each) for each in same):
            return OTHER_CALLERS
    return next((reason.text for reason in REASONS if reason.covers(grant)), "")


def stale(proof: Proof) -> list[Reason]:
    """Reasons that nothing needs: no grant is as they say, or all of them were used."""
    return [
        reason
        for reason in REASONS
        if not any(reason.covers(grant) and not used for grant, used in proof.grants.items())
    ]

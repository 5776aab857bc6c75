"""Workflows that each say something in another way, and the command lines they are run with."""

from dataclasses import dataclass, field

LAB = "registry.example/lab"
_RULE = """
rule {name}:
    output: "{name}.txt"
{says}    shell: "touch {{output}}"
"""


@dataclass(frozen=True)
class Run:
    """One start of Snakemake: what its rules and its head say, and what its command line does."""

    rules: dict[str, str]
    head: str = ""
    words: tuple[str, ...] = ()
    profile: str = ""
    # Of the executor: each calls them by its own name.
    settings: dict[str, str] = field(default_factory=dict)

    def snakefile(self):
        """Its text; every rule makes one file of its own."""
        wanted = ", ".join(f'"{name}.txt"' for name in self.rules)
        rules = (
            _RULE.format(name=name, says=f"    {says}\n" if says else "")
            for name, says in self.rules.items()
        )
        return f"{self.head}\nrule all:\n    input: {wanted}\n" + "".join(rules)


GLOBAL = f'container: "docker://{LAB}/global:1"'
OF_RULE = f'container: "docker://{LAB}/rule:1"'
IMAGES = {
    "plain": "",
    "ruled": OF_RULE,
    "resourced": f'resources: aws_batch_container_image="{LAB}/resource:1"',
    "defined": 'resources: aws_batch_job_definition="other"',
}
OPTION = ("--container-image", f"{LAB}/option:1")
RUNS = {
    "said nowhere": Run({"plain": ""}),
    "container": Run(IMAGES, GLOBAL),
    "containerized": Run({"plain": ""}, f'containerized: "docker://{LAB}/containerized:1"'),
    "apptainer": Run(IMAGES, GLOBAL, ("--software-deployment-method", "apptainer")),
    "option": Run(IMAGES, GLOBAL, OPTION),
    "profile": Run({"plain": ""}, profile=f"container-image: {LAB}/profile:1\n"),
    "resources": Run(
        {
            "two": "threads: 2\n    resources: mem_mb=8192",
            "odd": "resources: mem_mb=5000",
            "own": "resources: aws_batch_vcpu=3, aws_batch_mem_mb=5000",
            "gpu": "resources: gpu=1",
            "own_gpu": "resources: aws_batch_gpu=1",
            "runtime": "resources: runtime=90",
            "own_time": "resources: aws_batch_task_timeout=5400",
            "again": "retries: 1",
        },
        words=OPTION,
    ),
    "three": Run({"three": "threads: 3\n    resources: mem_mb=8192"}, words=OPTION),
    "narrow": Run({"narrow": "resources: mem_mb=16384"}, words=OPTION),
    "timed": Run({"plain": ""}, words=OPTION, settings={"task-timeout": "7200"}),
    "tagged": Run({"plain": ""}, words=OPTION, settings={"tags": "team=lab"}),
    "secret": Run({"plain": ""}, 'envvars: "TOKEN"', words=OPTION),
}

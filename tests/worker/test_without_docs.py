"""The worker's botocore comes without what writes its documentation, and lacks nothing else."""

import subprocess
import sys

START = """
import sys
from worker.without_docs import documentation_left_out
with documentation_left_out():
    import worker.agent
print(*sorted(name for name in sys.modules if name.startswith(("botocore.docs", "html"))))
"""


def said(program: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_writes_documentation_is_not_imported():
    assert said(START) == ["botocore.docs.utils"]


def test_whoever_wants_it_later_has_all_of_it():
    later = """
import boto3
from botocore.docs import generate_docs
from botocore.docs.docstring import ClientMethodDocstring
print(boto3.client("s3", region_name="us-east-1").meta.service_model.service_name)
print(ClientMethodDocstring.__module__, generate_docs.__module__)
"""
    assert said(START + later)[1:] == ["s3", "botocore.docs.docstring botocore.docs"]


def test_documentation_that_is_there_already_stays():
    before = "import boto3, botocore.docs\nbefore = sys.modules['botocore.docs']\n"
    program = START.replace("import sys\n", "import sys\n" + before)
    same = "print(sys.modules['botocore.docs'] is before)"
    assert said(program + same)[-1] == "True"


def test_the_reader_of_installed_packages_versions_is_there_for_whoever_asks():
    later = """
import urllib3.http2
print("importlib.metadata" in sys.modules)
print(urllib3.http2.version("urllib3") == urllib3.__version__)
import importlib.metadata
print(callable(importlib.metadata.entry_points))
"""
    assert said(START + later)[1:] == ["False", "True", "True"]


def test_what_reads_settings_and_answers_is_there_when_it_is_asked(tmp_path):
    (tmp_path / "config").write_text("[profile lab]\nregion = eu-north-1\n")
    later = f"""
import os
print(*[name in sys.modules for name in ("configparser", "jmespath")])
import botocore.session, botocore.paginate
os.environ.pop("AWS_DEFAULT_REGION", None)
os.environ |= {{"AWS_CONFIG_FILE": {str(tmp_path / "config")!r}, "AWS_PROFILE": "lab"}}
print(botocore.session.Session().get_config_variable("region"))
print(botocore.paginate.jmespath.search("a.b", {{"a": {{"b": 7}}}}))
import configparser, jmespath
print(botocore.configloader.configparser.Error is configparser.Error)
print(botocore.paginate.jmespath.compile is jmespath.compile)
"""
    expected = ["False False", "eu-north-1", "7", "True", "True"]
    assert said(START + later)[1:] == expected


def test_a_module_is_there_at_once_for_who_takes_something_of_it_meanwhile():
    program = """
import sys
from worker.without_docs import documentation_left_out
with documentation_left_out():
    from configparser import ConfigParser
    import configparser, worker.agent
print(ConfigParser is configparser.ConfigParser, configparser is sys.modules["configparser"])
"""
    assert said(program) == ["True True"]

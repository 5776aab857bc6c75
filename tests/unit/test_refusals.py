"""What is said of a put that S3 refused, by what S3 answered."""

import pytest

from drydock.refusals import refused_put

KEY = "arn:aws:kms:us-west-2:123456789012:key/1"
HEAD = "An error occurred (AccessDenied) when calling the PutObject operation: "
USER = "User: arn:aws:sts::1:assumed-role/job/i is not authorized to perform: "
PUT = f'{HEAD}{USER}s3:PutObject on resource: "arn:aws:s3:::b/k" '


@pytest.mark.parametrize(
    ("said", "key", "expected"),
    [
        (PUT + "with an explicit deny in a resource-based policy", None, "KmsKeyId to the key"),
        (PUT + "with an explicit deny in a resource-based policy", KEY, "--sse AES256"),
        (HEAD + "Access Denied", None, "Either the caller may not write there (s3:PutObject), or"),
        (HEAD + "Access Denied", KEY, "empty for AES256"),
        (
            f"{HEAD}{USER}kms:GenerateDataKey on resource: {KEY} because no policy allows it",
            KEY,
            "The key is not the caller's to use",
        ),
    ],
)
def test_the_bucket_the_encryption_and_what_to_set_are_named(said, key, expected):
    told = refused_put("s3://b/k", key, said)
    assert told.startswith("S3 refused to write s3://b/k, which was sent with the encryption ")
    assert (key or "AES256") in told.partition(":  ")[0]
    assert said in told
    assert expected in told.partition(said)[2]


@pytest.mark.parametrize(
    "said",
    [
        PUT + "because no identity-based policy allows the s3:PutObject action",
        PUT + "with an explicit deny in an identity-based policy",
        PUT + "because no VPC endpoint policy allows the s3:PutObject action",
        "An error occurred (InvalidAccessKeyId) when calling the PutObject operation: no such key",
    ],
)
def test_nothing_is_guessed_where_s3_says_what_it_was(said):
    assert refused_put("s3://b/k", None, said).endswith(said)

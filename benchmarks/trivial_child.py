"""The least that a worker does: imports what it talks to AWS with."""

import boto3

SESSION = boto3.Session

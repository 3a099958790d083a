"""What runs the steps on Prefect: with the task shells, the only rooms below the flows that import it."""

from tasks.common.orchestration.secrets import read_secret
from tasks.common.storage.remote import read_secrets_with

read_secrets_with(read_secret)

"""A task of pynamodb_mate."""

import pynamodb_mate.api as pm
from pynamodb_mate.patterns.status_tracker import api as status_tracker


def make_model(endpoint, table, in_flight=1):
    """A table with the index, as its documentation has it, with one shard for each state."""

    class Task(status_tracker.BaseTask):
        class Meta:
            table_name = table
            host = endpoint
            region = "us-east-1"
            aws_access_key_id = "bench"
            aws_secret_access_key = "bench"
            billing_mode = pm.constants.PAY_PER_REQUEST_BILLING_MODE
            max_pool_connections = in_flight

        status_and_update_time_index = status_tracker.StatusAndUpdateTimeIndex()
        config = status_tracker.TrackerConfig.make(
            use_case_id="test",
            pending_status=0,
            in_progress_status=10,
            failed_status=20,
            succeeded_status=40,
            ignored_status=50,
            n_pending_shard=1,
            n_in_progress_shard=1,
            n_failed_shard=1,
            n_succeeded_shard=1,
            n_ignored_shard=1,
        )

    return Task

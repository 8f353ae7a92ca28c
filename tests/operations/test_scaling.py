"""Two instances are one deployment, also in a distant store that Prometheus writes to."""

import json

import yaml

from tests.project.test_main_job import host, shipped_config
from tests.servers import requires
from tests.site import eventually

HEALTH = 'http_requests_total{endpoint="/api/health"}'
QUEUED = 'automation_jobs_queued{job_type="site_check"}'


def config(instances, store):
    """The shipped one, for these instances, writing on to that store."""
    shipped = yaml.safe_load(shipped_config(host(instances[0].url)))
    [job] = shipped["scrape_configs"]
    job["static_configs"] = [{"targets": [host(instance.url) for instance in instances]}]
    return json.dumps(
        {"global": shipped["global"], "scrape_configs": [job], "remote_write": [{"url": f"{store.url}/api/v1/write"}]}
    )


@requires("prometheus")
def test_counters_add_up_and_what_all_read_from_the_database_is_the_same_in_a_store_far_away(site, prometheus):
    with (
        site(workers=1, redis=False) as one,
        site(workers=1, redis=False, database=one.database_url) as other,
        prometheus("{}", "--web.enable-remote-write-receiver") as store,
        prometheus(config([one, other], store)),
    ):
        for instance, number in ((one, 3), (other, 4)):
            for _ in range(number):
                assert instance.get("/api/health").status_code == 200
            instance.start_job("site_check", base_url=instance.url, paths=["/"])
        eventually(lambda: store.query(f"sum({HEALTH})"), [7.0], 60)
        eventually(lambda: (store.query(f"max({QUEUED})"), store.query(f"sum({QUEUED})")), ([2.0], [4.0]), 60)

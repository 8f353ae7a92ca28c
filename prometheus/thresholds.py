"""When the alerts fire, and where they lead: change it here, then ``make rules``."""

# Where docs/operations.md can be read: the address of your copy of this repository.
RUNBOOKS = "https://github.com/example/django-automation-observability/blob/main/docs/operations.md"

# Requests
ERROR_RATIO = 0.05  # of the requests of five minutes that end in 5xx
ERRORS_AT_LEAST = 3  # in five minutes: two unlucky requests at night are no incident
SLOW_SECONDS = 5  # 95th percentile of a route
REQUESTS_AT_LEAST = 5  # of a route in five minutes, for a percentile to mean something
OBJECTIVE = 0.995  # of the requests do not end in 5xx, over 30 days
BURN_ERRORS_AT_LEAST = 10  # in the long window, or in six hours of it

# AI
HOURLY_COST_USD = 10
UTC_OFFSET = 0  # hours that the site's TIME_ZONE is ahead of UTC, since budgets begin at its midnight: -8 in Vancouver

# Jobs
FAILURE_RATIO = 0.2  # of the jobs of a type that succeeded or failed within half an hour
JOBS_AT_LEAST = 5
HEARTBEAT_SECONDS = 300  # several times LEASE_SECONDS, within which another worker should have taken over
SUCCESS_SECONDS = 24 * 3600  # since a job of a type last succeeded
QUEUE_LENGTH = 50  # of a job type

# The site and its monitoring
CONNECTIONS = 80  # PostgreSQL takes 100 unless told otherwise (max_connections)

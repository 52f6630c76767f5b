"""Labels and annotations, each name written once."""

from __future__ import annotations

# Knative Serving labels
CONFIGURATION = "serving.knative.dev/configuration"
CONFIGURATION_GENERATION = "serving.knative.dev/configurationGeneration"
CONFIGURATION_UID = "serving.knative.dev/configurationUID"
REVISION = "serving.knative.dev/revision"
REVISION_UID = "serving.knative.dev/revisionUID"
ROUTE = "serving.knative.dev/route"
SERVICE = "serving.knative.dev/service"
SERVICE_UID = "serving.knative.dev/serviceUID"
ROUTING_STATE = "serving.knative.dev/routingState"

# Knative Serving annotations
CREATOR = "serving.knative.dev/creator"
LAST_MODIFIER = "serving.knative.dev/lastModifier"
ROUTES = "serving.knative.dev/routes"
ROLLOUT_DURATION = "serving.knative.dev/rollout-duration"
ROUTING_STATE_MODIFIED = "serving.knative.dev/routingStateModified"
PROGRESS_DEADLINE = "serving.knative.dev/progress-deadline"
NO_GC = "serving.knative.dev/no-gc"

# Knative autoscaling annotations: prefix of all of them
AUTOSCALING = "autoscaling.knative.dev/"

# KServe
INFERENCE_SERVICE = "serving.kserve.io/inferenceservice"
COMPONENT = "component"
S3_ENDPOINT = "serving.kserve.io/s3-endpoint"
S3_USE_HTTPS = "serving.kserve.io/s3-usehttps"
S3_REGION = "serving.kserve.io/s3-region"
S3_VERIFY_SSL = "serving.kserve.io/s3-verifyssl"
S3_USE_VIRTUAL_BUCKET = "serving.kserve.io/s3-usevirtualbucket"
S3_USE_ANONYMOUS = "serving.kserve.io/s3-useanoncredential"
STOP = "serving.kserve.io/stop"
STORAGE_SECRET = "serving.kserve.io/storageSecretName"  # noqa: S105  # a name, no secret
"""The Secret with which the model is fetched, in place of those of the service account."""
TAG_ROUTING = "serving.kserve.io/enable-tag-routing"

# Kubernetes
SERVICE_NAME = "kubernetes.io/service-name"
APP = "app"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# Torpor's own
POD_PORT = "torpor.dev/port"
"""On a laptop's pod: the host port that stands for the container's port (every pod shares 127.0.0.1)."""
ACTIVATION_TIMEOUT = "torpor.dev/activation-timeout-seconds"
"""On a Revision: how long a request waits for a pod."""
SESSION_AFFINITY = "torpor.dev/session-affinity"
"""On a Revision: `header=NAME` or `cookie=NAME`; requests of one session go to one pod."""
MIRROR = "torpor.dev/mirror"
"""On a Route, and on the Service or InferenceService it is made for: `REVISION=PERCENT` gets copies of requests."""
ACCESS = "torpor.dev/access"
"""On a Route, on the Service or InferenceService it is made for, or on a Namespace for all that have none of their own:
who may call. As a label it marks what policies name: a Secret of `keys`, a ConfigMap about an issuer of `jwt`."""
ANSWER_WHILE_ASLEEP = "torpor.dev/answer-while-asleep"
"""On a Revision: what is answered while it sleeps without waking it; a list of health, metadata, metadata-or-503."""
ACTIVATORS = "torpor.dev/activators"
"""Label of the Leases by which activators know of one another."""
ADMIN_ADDRESS = "torpor.dev/admin-address"
"""On an activator's Lease: HOST:PORT where the others reach its admin port."""
SCALE_METRIC = "torpor.dev/scale-metric"
"""On a Revision: what its pods report and how much of it one can take: tokens=4000, queue-wait=200ms, GAUGE=NUMBER."""
KEEP_ALIVE = "torpor.dev/keep-alive"
"""On a Revision: how long its last pod stays after its last request; standard, adaptive, or fixed:DURATION."""
SCHEDULE = "torpor.dev/schedule"
"""On a Revision: hours in which it has pods whether it is asked or not."""
WAKES = "torpor.dev/wakes"
"""On a Revision: services of its namespace that are woken with it, for its requests go on to them."""
ALLOW_PICKLE = "torpor.dev/allow-pickle"
"""On an InferenceService: "true" lets its model be a pickle, which can run any code when it is loaded."""
PROGRESS_PATH = "torpor.dev/progress-path"
"""On a pod template: where the container reports its load progress as JSON, if it does."""
MADE_FROM = "torpor.dev/made-from"
"""On a Deployment: a digest of what the controller asked for, by which it knows whether it would ask the same again."""

# Names of containers
USER_CONTAINER = "user-container"
KSERVE_CONTAINER = "kserve-container"
PREDICTOR_IMAGE = "torpor/predictor"
STORAGE_INITIALIZER = "storage-initializer"
"""KServe's name for the initial container that fetches a model for a container of the owner's own."""

# Where that model is: in a volume, at KServe's place, or, on a laptop, which cannot mount, where the variable says.
MODEL_VOLUME = "torpor-model"
MODEL_MOUNT = "/mnt/models"
MODEL_PLACE = "TORPOR_VOLUME_TORPOR_MODEL"

"""A double of the Kubernetes HTTP API that runs the commands of its pods as processes of this machine. For tests only.

It answers what the official clients and Airflow's provider ask about pods, their logs and their events; the rest
of a cluster is not here. In the place of a node stands this machine:

- The image is the environment, the working directory and the entry point that `Cluster` is given; a container's
  `image`, `workingDir` and resources are checked and reported, and change nothing.
- A volume is a folder of its own, with the files of its ConfigMap or Secret; instead of mounting it, a path below its
  `mountPath` in the value of a variable is made one below that folder.
- Users, capabilities, seccomp, `readOnlyRootFilesystem` and NetworkPolicies are not enforced; the *restricted*
  Pod Security Standard is, at the door.
- A pod has one container and `restartPolicy: Never`. There is no exec, and so no XCom sidecar.
- One namespace, one user; any other namespace is forbidden. Service accounts, priority classes, quotas, node
  selectors and tolerations are taken as they come: every pod fits, unless a test says otherwise.
"""

from cluster_double.cluster import Cluster
from cluster_double.pods import Pod

__all__ = ["Cluster", "Pod"]

"""A double of the Kubernetes HTTP API that runs pods' commands as local processes. For tests only.

It answers what the official clients and Airflow's provider ask about pods, their logs and their
events; it has no other part of a cluster. This machine takes the place of a node:

- The image is the environment, the working directory and the entry point passed to `Cluster`; a
  container's `image`, `workingDir` and resources are checked and reported, and change nothing.
- A volume is a folder with the files of its ConfigMap or Secret. Instead of mounting it, a path
  below its `mountPath` in the value of a variable becomes a path below that folder.
- Users, capabilities, seccomp, `readOnlyRootFilesystem` and NetworkPolicies are not enforced;
  admission enforces the *restricted* Pod Security Standard.
- A pod has one container and `restartPolicy: Never`. There is no exec, and so no XCom sidecar.
- One namespace, one user; any other namespace is forbidden. Service accounts, priority classes,
  quotas, node selectors and tolerations are accepted and ignored: every pod fits, unless a test
  says otherwise.
"""

from cluster_double.cluster import Cluster
from cluster_double.pods import Pod

__all__ = ["Cluster", "Pod"]

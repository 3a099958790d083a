"""What installs Performia as a service: deployments, limits, the work pool, the automation; and manifests for containers and clusters."""

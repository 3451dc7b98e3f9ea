//go:build tools

// Keeps Helm, which is built beside the components, in go.mod.
package main

import _ "helm.sh/helm/v3/cmd/helm"

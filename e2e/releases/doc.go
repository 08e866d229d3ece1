// Package releases tests that programs and gateways of one release work with those of the release before.
package releases

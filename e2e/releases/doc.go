// Package releases tests that programs and gateways of this release work with those of the previous one.
package releases

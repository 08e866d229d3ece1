// Package deploy has files for operators of a gateway, and tests that hold these files to what the gateway does.
package deploy

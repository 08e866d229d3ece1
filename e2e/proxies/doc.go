// Package proxies tests programs that reach the gateway through real proxies: squid and tinyproxy, each in a process of
// its own with the configuration of a test. It has only tests.
package proxies

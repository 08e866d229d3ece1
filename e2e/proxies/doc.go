// Package proxies has programs reach the gateway through real proxies: squid and tinyproxy, each in a process of its own
// with a configuration of the test's. It has tests only.
package proxies

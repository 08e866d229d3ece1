package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// An inherited socket is open before this process starts and after it ends, so clients that connect
// between two gateways wait in its queue. --listen names it by its descriptor, as in fd:3. A
// service manager announces it in the environment, by the protocol of systemd (sd_listen_fds(3)).

const (
	// defaultListen is the default of --listen.
	defaultListen = "127.0.0.1:8080"
	// firstSocket names the first socket that a service manager passes.
	firstSocket = "fd:3"
)

// handedOver returns the --listen value for the socket that a service manager passed to this
// process, or the value set.
func handedOver(set string) (string, error) {
	n := os.Getenv("LISTEN_FDS")
	switch {
	case n == "" || n == "0" || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()), strings.HasPrefix(set, "fd:"):
		return set, nil
	case n != "1":
		return "", fmt.Errorf("LISTEN_FDS=%s: the gateway uses one socket; put one ListenStream into its unit, or name the socket to use with --listen %s", n, firstSocket)
	case set != defaultListen:
		return "", fmt.Errorf("--listen=%s: the gateway inherits a socket with its own address (LISTEN_FDS=1); leave out --listen, or the socket unit", set)
	}
	return firstSocket, nil
}

// descriptorOf returns the descriptor in --listen, and whether it names one.
func descriptorOf(address string) (fd uint64, named bool, err error) {
	number, named := strings.CutPrefix(address, "fd:")
	if !named {
		return 0, false, nil
	}
	if fd, err = strconv.ParseUint(number, 10, 16); err != nil || fd < 3 {
		return 0, true, fmt.Errorf("--listen=%s: use the descriptor of a listening socket, such as %s; 0 to 2 are standard input, output and error", address, firstSocket)
	}
	return fd, true, nil
}

// listen listens on an address, or on an inherited socket.
func listen(address string) (net.Listener, error) {
	fd, named, err := descriptorOf(address)
	if err != nil {
		return nil, err
	}
	if !named {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return nil, explainListen(address, err)
		}
		return l, nil
	}
	file := os.NewFile(uintptr(fd), address)
	l, err := net.FileListener(file)
	_ = file.Close() // the listener has a duplicate of the descriptor
	switch {
	case errors.Is(err, syscall.EBADF):
		return nil, fmt.Errorf("listen on %s: there is no such inherited descriptor; the parent process must open the socket, or use an address", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: it is not a listening socket: %w", address, err)
	}
	if _, tcp := l.(*net.TCPListener); !tcp {
		_ = l.Close()
		return nil, fmt.Errorf("listen on %s: it is a socket of %s, but the gateway listens on TCP; a proxy in front of it can listen on others", address, l.Addr().Network())
	}
	return l, nil
}

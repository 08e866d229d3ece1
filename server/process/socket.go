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

// A socket that is handed over is open before this process is, and after it: who connects while one gateway ends and the next
// one starts waits in its queue. --listen names it by its descriptor, fd:3; a service manager says so in the environment, by the
// protocol of systemd (sd_listen_fds(3)).

const (
	// defaultListen is what --listen is where nobody says it.
	defaultListen = "127.0.0.1:8080"
	// firstSocket is the descriptor of the first socket that a service manager hands over.
	firstSocket = "fd:3"
)

// handedOver returns the --listen of the socket that a service manager hands over to this process, or the one that is set.
func handedOver(set string) (string, error) {
	n := os.Getenv("LISTEN_FDS")
	switch {
	case n == "" || n == "0" || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()), strings.HasPrefix(set, "fd:"):
		return set, nil
	case n != "1":
		return "", fmt.Errorf("LISTEN_FDS=%s: the gateway takes one socket; give its unit one ListenStream, or name the one to take with --listen %s", n, firstSocket)
	case set != defaultListen:
		return "", fmt.Errorf("--listen=%s: a socket with its own address is handed over (LISTEN_FDS=1); leave --listen out, or its unit", set)
	}
	return firstSocket, nil
}

// descriptorOf returns the descriptor that --listen names, and whether it names one.
func descriptorOf(address string) (fd uint64, named bool, err error) {
	number, named := strings.CutPrefix(address, "fd:")
	if !named {
		return 0, false, nil
	}
	if fd, err = strconv.ParseUint(number, 10, 16); err != nil || fd < 3 {
		return 0, true, fmt.Errorf("--listen=%s: give the descriptor of a socket that listens, such as %s; 0 to 2 are standard input, output and error", address, firstSocket)
	}
	return fd, true, nil
}

// listen opens the port at an address, or takes over a socket.
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
	_ = file.Close() // the listener has a descriptor of its own
	switch {
	case errors.Is(err, syscall.EBADF):
		return nil, fmt.Errorf("listen on %s: nobody handed over such a descriptor; whoever starts the gateway opens the socket, or give an address", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: it is no socket that listens: %w", address, err)
	}
	if _, tcp := l.(*net.TCPListener); !tcp {
		_ = l.Close()
		return nil, fmt.Errorf("listen on %s: it is a socket of %s, and the gateway listens on TCP; a proxy before it can listen on others", address, l.Addr().Network())
	}
	return l, nil
}

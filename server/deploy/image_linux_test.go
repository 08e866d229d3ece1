package deploy

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// image describes the last stage of a Dockerfile.
type image struct {
	from                    string
	copied                  [][2]string // from, to
	owner                   map[string]string
	user                    string
	env                     []string
	entrypoint, cmd, health []string
}

func readImage(t *testing.T) image {
	t.Helper()
	content, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(content)
	text = text[strings.LastIndex(text, "\nFROM ")+1:]
	i := image{owner: map[string]string{}}
	list := func(of string) (all []string) {
		if err := json.Unmarshal([]byte(of), &all); err != nil {
			t.Errorf("%s is not in the form that needs no shell: %v", of, err)
		}
		return all
	}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "FROM":
			i.from = rest
		case "COPY":
			m := regexp.MustCompile(`^--from=build (?:--chown=(\S+) )?(\S+) (\S+)$`).FindStringSubmatch(rest)
			if m == nil {
				t.Fatalf("COPY %s is not understood", rest)
			}
			i.copied, i.owner[m[3]] = append(i.copied, [2]string{m[2], m[3]}), m[1]
		case "USER":
			i.user = rest
		case "ENV":
			i.env = strings.Fields(rest)
		case "ENTRYPOINT":
			i.entrypoint = list(rest)
		case "CMD":
			i.cmd = list(rest)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(rest, "CMD ")
			i.health = list(command)
		case "", "#", "VOLUME":
		default:
			t.Errorf("%s is not understood", word)
		}
	}
	return i
}

// root lays out the files of the image, as a build would, and nothing else.
func (i *image) root(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for _, pair := range i.copied {
		from, to := pair[0], filepath.Join(root, pair[1])
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch from {
		case "/out/reversehttp":
			build := exec.Command("go", "build", "-o", to, "./sdk-go/cmd/reversehttp")
			build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
			var out []byte
			if out, err = build.CombinedOutput(); err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
		case "/out/data":
			err = os.Mkdir(to, 0o700)
		default: // of the system that builds
			var content []byte
			if content, err = os.ReadFile(from); os.IsNotExist(err) {
				err = nil // this one has no certificates, and the test needs none
			} else if err == nil {
				err = os.WriteFile(to, content, 0o644)
			}
		}
		if owner := i.owner[pair[1]]; err == nil && owner != "" {
			uid, gid := ids(t, owner)
			err = os.Chown(to, uid, gid)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func ids(t *testing.T, owner string) (uid, gid int) {
	t.Helper()
	user, group, _ := strings.Cut(owner, ":")
	uid, err := strconv.Atoi(user)
	if err == nil {
		gid, err = strconv.Atoi(group)
	}
	if err != nil {
		t.Fatalf("%s: an image without /etc/passwd knows no names: %v", owner, err)
	}
	return uid, gid
}

// inside returns a command that runs in the image, as its user.
func (i *image) inside(t *testing.T, root string, env, args []string) *exec.Cmd {
	uid, gid := ids(t, i.user)
	c := exec.Command(args[0], args[1:]...)
	c.Dir, c.Env = "/", env
	c.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return c
}

func TestTheImageHasAllThatTheGatewayNeeds(t *testing.T) {
	i := readImage(t)
	if uid, gid := ids(t, i.user); i.from != "scratch" || uid == 0 || gid == 0 {
		t.Errorf("it is from %s, and runs as %s", i.from, i.user)
	}
	if os.Getuid() != 0 {
		t.Skip("only root may run a program in another root directory")
	}
	root := i.root(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free, for the operator
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	env := append(i.env, "REVERSEHTTP_ADMIN_LISTEN="+at, "REVERSEHTTP_ADMIN=http://"+at, "REVERSEHTTP_LISTEN=127.0.0.1:0")
	gateway := i.inside(t, root, env, append(i.entrypoint, i.cmd...))
	var log strings.Builder
	gateway.Stderr = &log
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- gateway.Wait() }()
	for deadline := time.Now().Add(10 * time.Minute); ; {
		out, err := i.inside(t, root, env, i.health).CombinedOutput()
		if err == nil {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the gateway ended: %v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the health check fails: %v %s", err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "data", "claims.db")); err != nil {
		t.Errorf("it keeps nothing in its volume: %v", err)
	}
	_ = gateway.Process.Signal(syscall.SIGTERM)
	if err := <-ended; err != nil {
		t.Errorf("the gateway ended with %v\n%s", err, log.String())
	}
	if err := i.inside(t, root, env, i.health).Run(); err == nil {
		t.Error("the health check succeeds without a gateway")
	}
}

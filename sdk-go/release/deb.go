package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// texts are the manual page and the completions of the command.
type texts struct{ man, bash, zsh, fish []byte }

// textsOf runs a program of this machine to get its texts.
func textsOf(program string) (t texts, err error) {
	for _, one := range []struct {
		into *[]byte
		args []string
	}{{&t.man, []string{"man"}}, {&t.bash, []string{"completion", "bash"}}, {&t.zsh, []string{"completion", "zsh"}}, {&t.fish, []string{"completion", "fish"}}} {
		if *one.into, err = exec.Command(program, one.args...).Output(); err != nil {
			return t, fmt.Errorf("%s %v: %w", program, one.args, err)
		}
	}
	return t, nil
}

// textsHere builds the command for this machine and runs it to get its texts.
func textsHere(root, version string) (t texts, err error) {
	dir, err := os.MkdirTemp("", "reversehttp-release-")
	if err != nil {
		return t, err
	}
	defer os.RemoveAll(dir)
	here := platform{runtime.GOOS, runtime.GOARCH}
	program := filepath.Join(dir, here.program())
	if err := build(root, version, here, program); err != nil {
		return t, err
	}
	return textsOf(program)
}

// conffile is the file that an update of the package keeps if the operator changed it.
const conffile = "etc/reversehttp/gateway.jsonc"

// docs is where Debian looks for documentation, and documents are those to which the pages of a gateway refer, with
// their paths in the repository.
const docs = "usr/share/doc/reversehttp/"

var documents = []string{"sdk-go/cmd/reversehttp/README.md", "server/README.md", "server/SECURITY.md", "server/deploy/README.md"}

// installed returns the files of the Debian package, below the root of the file system.
func installed(root string, t texts, program []byte) ([]file, error) {
	files := []file{
		{conffile, 0o644, nil},
		{"usr/bin/reversehttp", 0o755, program},
		{"usr/lib/systemd/system/reversehttp.service", 0o644, nil},
		{"usr/lib/systemd/system/reversehttp.socket", 0o644, nil},
		{"usr/share/bash-completion/completions/reversehttp", 0o644, t.bash},
		{docs + "copyright", 0o644, nil},
		{docs + "grafana.json", 0o644, nil},
		{"usr/share/fish/vendor_completions.d/reversehttp.fish", 0o644, t.fish},
		{"usr/share/man/man1/reversehttp.1", 0o644, t.man},
		{"usr/share/zsh/vendor-completions/_reversehttp", 0o644, t.zsh},
	}
	for _, name := range documents {
		files = append(files, file{docs + name, 0o644, nil})
	}
	for i, f := range files {
		if f.content != nil {
			continue
		}
		from := filepath.Join(root, "server", "deploy", path.Base(f.name))
		if path.Base(f.name) == "copyright" {
			from = filepath.Join(root, "LICENSE")
		} else if name := strings.TrimPrefix(f.name, docs); slices.Contains(documents, name) {
			from = filepath.Join(root, filepath.FromSlash(name))
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		files[i].content = content
	}
	return files, nil
}

// deb returns the Debian package of the command and the units of its gateway (deb(5)). Installing it starts nothing.
func deb(version string, p platform, files []file) ([]byte, error) {
	size := 0
	for _, f := range files {
		size += len(f.content)
	}
	control := fmt.Sprintf(`Package: reversehttp
Version: %s
Architecture: %s
Maintainer: ReverseHttp <reversehttp@localhost>
Installed-Size: %d
Section: net
Priority: optional
Description: public URLs for programs that can only make HTTP requests
 The command puts a local server on a public URL without opening a port, and
 runs the gateway that lends these URLs.
`, version, p.arch, (size+1023)/1024)
	const reload = "#!/bin/sh\nset -e\nif [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi\n"
	controls, err := tarball([]file{
		{"./control", 0o644, []byte(control)},
		{"./conffiles", 0o644, []byte("/" + conffile + "\n")},
		{"./postinst", 0o755, []byte(reload)},
		{"./postrm", 0o755, []byte(reload)},
	}, false)
	if err != nil {
		return nil, err
	}
	data, err := tarball(files, true)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, member := range []file{{"debian-binary", 0, []byte("2.0\n")}, {"control.tar.gz", 0, controls}, {"data.tar.gz", 0, data}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", member.name, built.Unix(), 0, 0, "100644", len(member.content))
		b.Write(member.content)
		if len(member.content)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes(), nil
}

package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// serve puts the files of a directory on a public URL.
type serve struct {
	Dir      string `arg:"" help:"Directory to serve."`
	DotFiles bool   `help:"Serve files and directories too whose names begin with a dot."`
}

func (s *serve) open(view, *slog.Logger) (service, error) {
	root, err := os.OpenRoot(s.Dir)
	if err != nil {
		return service{}, err
	}
	files := http.FileServerFS(files{root, s.DotFiles})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "files are read with GET or HEAD", http.StatusMethodNotAllowed)
			return
		}
		files.ServeHTTP(w, r)
	})
	return service{handler, s.Dir, func() { _ = root.Close() }, 0}, nil
}

// files are the regular files and the directories below a root. Links out of it are treated as absent, and
// so are links to names that begin with a dot.
type files struct {
	root     *os.Root
	dotFiles bool
}

// Open opens a file that may be served. For any other it returns [fs.ErrNotExist].
func (f files) Open(name string) (fs.File, error) {
	absent := &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	if !fs.ValidPath(name) || !f.dotFiles && name != "." && hidden(name) {
		return nil, absent
	}
	if !f.dotFiles {
		to, err := f.resolve(name)
		if err != nil || to != "." && hidden(to) {
			return nil, absent
		}
		name = to // has no links, so it cannot lead elsewhere
	}
	// Stat first, since opening a pipe would wait for its writer.
	info, err := f.root.Stat(name)
	if err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, absent
	}
	var file *os.File
	if err == nil {
		file, err = f.root.Open(name)
	}
	var errno syscall.Errno
	switch {
	case err == nil && info.IsDir() && !f.dotFiles:
		return directory{file}, nil
	case err == nil:
		return file, nil
	case !errors.As(err, &errno), errno == syscall.ENOTDIR, errno == syscall.ENAMETOOLONG, errno == syscall.ELOOP, errno == syscall.EINVAL:
		return nil, absent // including names that lead out of the root
	}
	return nil, err
}

// linksMost is how many links a name may go through.
const linksMost = 40

// resolve follows all links in a name and returns the name that they lead to. It returns an error if nothing is there.
func (f files) resolve(name string) (string, error) {
	at, links := ".", 0
	for rest := strings.Split(name, "/"); len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch {
		case part == "" || part == ".":
			continue
		case part == ".." && at == ".":
			return "", fs.ErrNotExist // leads out of the root
		case part == "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		info, err := f.root.Lstat(next)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		to, err := f.root.Readlink(next)
		if links++; err != nil || filepath.IsAbs(to) || links > linksMost {
			return "", fs.ErrNotExist
		}
		rest = append(strings.Split(filepath.ToSlash(to), "/"), rest...)
	}
	return at, nil
}

func hidden(name string) bool {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") {
			return true
		}
	}
	return false
}

// directory is a directory that does not list dot files.
type directory struct{ *os.File }

var _ fs.ReadDirFile = directory{}

// ReadDir implements [fs.ReadDirFile] without dot files.
func (d directory) ReadDir(n int) ([]fs.DirEntry, error) {
	for {
		all, err := d.File.ReadDir(n)
		shown := all[:0]
		for _, e := range all {
			if !hidden(e.Name()) {
				shown = append(shown, e)
			}
		}
		// With n > 0, an empty result without an error would mean the end.
		if n <= 0 || len(shown) > 0 || err != nil {
			return shown, err
		}
	}
}

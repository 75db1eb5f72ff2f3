//go:build unix

package hostfs

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// inProcess is another implementation, without OpenSSH's fsync.
func inProcess(t *testing.T) *sftp.Client {
	t.Helper()
	here, there := net.Pipe()
	server, err := sftp.NewServer(there)
	must(t, err)
	go server.Serve()
	client, err := sftp.NewClientPipe(here, here)
	must(t, err)
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client
}

// sftpClients are the servers that are here.
func sftpClients(t *testing.T) map[string]*sftp.Client {
	clients := map[string]*sftp.Client{"in process": inProcess(t)}
	if client := sftpServer(t, 0); client != nil {
		clients["openssh"] = client
	}
	return clients
}

// What sftp tells is what there is, but for what it cannot tell.
func TestSFTPIsLocal(t *testing.T) {
	dir, paths := tree(t)
	for name, client := range sftpClients(t) {
		fsys := SFTP(client, "root")
		for _, p := range paths {
			want := lstat(t, Local(), p)
			want.Nlink = 0
			if got := lstat(t, fsys, p); got != want {
				t.Errorf("%s: %q is %+v, want %+v", name, p, got, want)
			}
			wantTo, wantErr := Local().Readlink(t.Context(), p)
			if to, err := fsys.Readlink(t.Context(), p); to != wantTo || (err == nil) != (wantErr == nil) {
				t.Errorf("%s: %q links to %q, %v; want %q", name, p, to, err, wantTo)
			}
		}
		for _, p := range []string{"none", "none/deeper", "dir/none"} {
			if _, err := fsys.Lstat(t.Context(), filepath.Join(dir, p)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: lstat of %s: %v", name, p, err)
			}
		}
		for gid, want := range map[int]bool{0: true, 987654: false} {
			if got, err := fsys.PrivateGroup(t.Context(), gid, 0, 0); got != want || errors.Is(err, strictmodes.ErrUnlisted) == want {
				t.Errorf("%s: PrivateGroup(%d, 0) = %v, %v", name, gid, got, err)
			}
		}
		want, _ := Far(shellAs(0, "sh")).Attributes(t.Context(), dir)
		if got, err := fsys.Attributes(t.Context(), dir); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: attributes %+v, %v; want %+v", name, got, err, want)
		}
		if _, err := fsys.Lstat(t.Context(), "-rf"); err == nil {
			t.Errorf("%s: a relative path was taken", name)
		}
	}
}

func TestSFTPChmod(t *testing.T) {
	for name, client := range sftpClients(t) {
		me, err := user.Current()
		must(t, err)
		fsys := SFTP(client, me.Username)
		dir, _ := tree(t)
		for _, what := range []string{"with blank", "with\nnewline", "odd", "dir", "shared", "zero"} {
			p := filepath.Join(dir, what)
			for _, mode := range []fs.FileMode{0o600, 0o755, 0o700 | fs.ModeSticky} {
				was := lstat(t, fsys, p)
				if err := fsys.Chmod(t.Context(), p, was, mode); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				if got := lstat(t, Local(), p); got.Mode != was.Mode.Type()|mode {
					t.Errorf("%s: %q is %+v, want %v", name, p, got, mode)
				}
			}
		}
		p := filepath.Join(dir, "with blank")
		st := lstat(t, fsys, p)
		for what, wrong := range map[string]strictmodes.Stat{
			"mode":  {Mode: st.Mode ^ 0020, UID: st.UID, GID: st.GID},
			"type":  {Mode: st.Mode | fs.ModeDir, UID: st.UID, GID: st.GID},
			"group": {Mode: st.Mode, UID: st.UID, GID: st.GID + 1},
		} {
			if err := fsys.Chmod(t.Context(), p, wrong, 0o777); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), p) {
				t.Errorf("%s, other %s: %v", name, what, err)
			}
		}
		for _, what := range []string{"link", "fifo", "dangling"} { // and none of them hangs
			if err := fsys.Chmod(t.Context(), filepath.Join(dir, what), lstat(t, fsys, p), 0o777); err == nil {
				t.Errorf("%s: chmod of a %s", name, what)
			}
			if err := fsys.Chmod(t.Context(), filepath.Join(dir, what), lstat(t, fsys, filepath.Join(dir, what)), 0o777); !errors.Is(err, ErrChanged) {
				t.Errorf("%s: chmod of a %s: %v", name, what, err)
			}
		}
		if got := lstat(t, Local(), p); got.Mode != st.Mode {
			t.Errorf("%s: changed to %+v", name, got)
		}
		if name == "openssh" {
			must(t, os.Symlink(dir, filepath.Join(dir, "way")))
			if err := fsys.Chmod(t.Context(), filepath.Join(dir, "way", "with blank"), st, 0o777); !errors.Is(err, ErrChanged) {
				t.Errorf("%s: by way of a link: %v", name, err)
			}
		}
		// Another's file may be known by another name: sftp cannot tell.
		if os.Geteuid() == 0 {
			must(t, os.Chown(p, 12345, 12345))
			for what, err := range map[string]error{
				"chmod": SFTP(client, "root").Chmod(t.Context(), p, lstat(t, SFTP(client, "root"), p), 0o600),
				"chown": SFTP(client, "root").Chown(t.Context(), p, lstat(t, SFTP(client, "root"), p), 0),
			} {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("%s: %s of another's file: %v", name, what, err)
				}
			}
			folder := filepath.Join(dir, "dir")
			must(t, os.Chown(folder, 12345, 12345))
			if err := SFTP(client, "root").Chown(t.Context(), folder, lstat(t, SFTP(client, "root"), folder), 0); err != nil {
				t.Errorf("%s: chown of a folder: %v", name, err)
			}
			if got := lstat(t, Local(), folder); got.UID != 0 || got.GID != 12345 {
				t.Errorf("%s: chown of a folder: %+v", name, got)
			}
		}
	}
}

// What cannot be brought to the disk is not begun.
func TestSFTPWithoutFsync(t *testing.T) {
	fsys := SFTP(inProcess(t), "root")
	dir := realDir(t)
	f := put(t, filepath.Join(dir, "f"), "x")
	st := lstat(t, fsys, f)
	for what, err := range map[string]error{
		"rename": fsys.Rename(t.Context(), f, st, f+"2"),
		"mkdir":  fsys.Mkdir(t.Context(), filepath.Join(dir, "d"), 0o700),
		"copy":   fsys.Copy(t.Context(), f, st, f+"2", 0o600),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"f"}) {
		t.Errorf("there is %q", got)
	}
}

func TestSFTPReadOnly(t *testing.T) {
	client := sftpServer(t, 0)
	need(t, client != nil, "no sftp-server")
	dir := mount(t, "tmpfs", "size=64k")
	p := put(t, filepath.Join(dir, "f"), "")
	run(t, "mount", "-o", "remount,ro", dir)
	fsys := SFTP(client, "root")
	if err := fsys.Chmod(t.Context(), p, lstat(t, fsys, p), 0o644); !errors.Is(err, unix.EROFS) {
		t.Error(err)
	}
	if a, err := fsys.Attributes(t.Context(), p); err != nil || !reflect.DeepEqual(a, strictmodes.Attributes{ReadOnly: true, FS: "tmpfs"}) {
		t.Errorf("%+v, %v", a, err)
	}
}

// What we may not see is not said to be missing, and what we may not read can
// still be repaired.
func TestSFTPDenied(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root can be somebody else")
	const uid = 65534 // sftp-server wants a name: nobody
	client := sftpServer(t, uid)
	need(t, client != nil, "no sftp-server")
	dir := realDir(t)
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	closed := filepath.Join(dir, "closed")
	must(t, os.Mkdir(closed, 0o700))
	put(t, filepath.Join(dir, "f"), "secret")
	fsys := SFTP(client, "nobody")
	_, lstatErr := fsys.Lstat(t.Context(), closed+"/x")
	_, readErr := fsys.ReadFile(t.Context(), filepath.Join(dir, "f"))
	_, globErr := fsys.Glob(t.Context(), closed+"/*")
	for what, err := range map[string]error{
		"lstat": lstatErr, "read": readErr, "glob": globErr,
		"mkdir":  fsys.Mkdir(t.Context(), filepath.Join(dir, "x"), 0o700),
		"rename": fsys.Rename(t.Context(), closed, lstat(t, fsys, closed), closed+"2"),
		"chmod":  fsys.Chmod(t.Context(), closed, lstat(t, fsys, closed), 0o755),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	own := filepath.Join(dir, "own")
	must(t, os.Mkdir(own, 0o700))
	must(t, os.Chown(own, uid, uid))
	must(t, os.Chmod(own, 0))
	if err := fsys.Chmod(t.Context(), own, lstat(t, fsys, own), 0o700); err != nil {
		t.Error(err)
	}
	if got := lstat(t, Local(), own); got.Mode != fs.ModeDir|0o700 {
		t.Errorf("%+v", got)
	}
}

// Errors of a context and of a connection are told as such.
func TestSFTPLost(t *testing.T) {
	client := inProcess(t)
	fsys := SFTP(client, "root")
	client.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	if _, err := fsys.Lstat(ctx, "/"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	over := errors.New("the time is up")
	cancel(over)
	_, lstatErr := fsys.Lstat(ctx, "/")
	_, accountErr := fsys.Account(ctx)
	_, readErr := fsys.ReadFile(ctx, "/etc/passwd")
	for what, err := range map[string]error{"lstat": lstatErr, "account": accountErr, "read": readErr, "mkdir": fsys.Mkdir(ctx, "/x", 0o700)} {
		if !errors.Is(err, over) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A server that answers with garbage, or with lies, is no reason to panic or
// to wait for ever, nor to do anything.
func TestSFTPHostileAnswers(t *testing.T) {
	packet := func(body ...byte) []byte { return append([]byte{0, 0, 0, byte(len(body))}, body...) }
	for name, answer := range map[string]func(id []byte) []byte{
		"nothing": func([]byte) []byte { return nil },
		"garbage": func([]byte) []byte {
			return []byte("\x00\x00\x00\x40Welcome to this machine, which has no such thing as sftp, sorry!!")
		},
		"huge":        func([]byte) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 1} },
		"empty":       func([]byte) []byte { return packet() },
		"another's":   func([]byte) []byte { return packet(101, 9, 9, 9, 9, 0, 0, 0, 0) },
		"short":       func(id []byte) []byte { return packet(append([]byte{105}, id...)...) },
		"ok to all":   func(id []byte) []byte { return packet(append(append([]byte{101}, id...), make([]byte, 12)...)...) },
		"empty attrs": func(id []byte) []byte { return packet(append(append([]byte{105}, id...), make([]byte, 4)...)...) },
		"a thousand":  func(id []byte) []byte { return packet(append(append([]byte{104}, id...), 0, 0, 3, 0xe8)...) },
		"a long name": func(id []byte) []byte {
			return packet(append(append([]byte{104}, id...), 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff)...)
		},
		"no name":        func(id []byte) []byte { return packet(append(append([]byte{104}, id...), 0, 0, 0, 0)...) },
		"unknown packet": func(id []byte) []byte { return packet(append([]byte{250}, id...)...) },
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			go func() {
				defer there.Close()
				for first := true; ; first = false {
					var length [4]byte
					if _, err := io.ReadFull(there, length[:]); err != nil {
						return
					}
					request := make([]byte, length[3])
					if _, err := io.ReadFull(there, request); err != nil {
						return
					}
					said := packet([]byte("\x02\x00\x00\x00\x03\x00\x00\x00\x11fsync@openssh.com\x00\x00\x00\x011\x00\x00\x00\x13statvfs@openssh.com\x00\x00\x00\x012")...)
					if !first {
						said = answer(request[1:5])
					}
					if _, err := there.Write(said); err != nil || said == nil {
						return
					}
				}
			}()
			client, err := sftp.NewClientPipe(here, here)
			must(t, err)
			defer client.Close()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				fsys := SFTP(client, "pi")
				was := strictmodes.Stat{Mode: 0o600}
				_, accountErr := fsys.Account(t.Context())
				_, readErr := fsys.ReadFile(t.Context(), "/x")
				fsys.Lstat(t.Context(), "/x/y")
				fsys.Readlink(t.Context(), "/x")
				fsys.Glob(t.Context(), "/x/*")
				fsys.Attributes(t.Context(), "/x")
				for what, err := range map[string]error{
					"account": accountErr, "read": readErr,
					"chmod":  fsys.Chmod(t.Context(), "/x", was, 0o600),
					"chown":  fsys.Chown(t.Context(), "/x", strictmodes.Stat{Mode: fs.ModeDir | 0o700}, 0),
					"rename": fsys.Rename(t.Context(), "/x", was, "/y"),
					"mkdir":  fsys.Mkdir(t.Context(), "/x", 0o700),
					"copy":   fsys.Copy(t.Context(), "/x", was, "/y", 0o600),
				} {
					if err == nil {
						t.Errorf("%s worked", what)
					}
				}
			}()
			select {
			case <-ended:
			case <-time.After(10 * time.Second):
				t.Error("it hangs")
			}
		})
	}
}

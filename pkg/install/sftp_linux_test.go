package install

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// sftpServer is OpenSSH's, which Debian keeps outside PATH.
func sftpServer(t *testing.T) string {
	t.Helper()
	for _, p := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	sshtest.Need(t, "sftp-server")
	return "sftp-server"
}

// overPipe starts OpenSSH's sftp-server as sshd would in this home.
func overPipe(t *testing.T, home string) *sftp.Client {
	t.Helper()
	return watched(t, home, func([]byte) {})
}

// watched is overPipe, and shows what the server is sent.
func watched(t *testing.T, home string, see func(packet []byte)) *sftp.Client {
	t.Helper()
	cmd := exec.Command(sftpServer(t), "-e")
	cmd.Dir, cmd.Env = home, sshtest.Env(home)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client, err := sftp.NewClientPipe(out, &watcher{in, see})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	return client
}

// inProcess serves a home by pkg/sftp, which knows no fsync, and renames over
// no directory.
func inProcess(t *testing.T, home string) *sftp.Client {
	t.Helper()
	here, there := net.Pipe()
	server, err := sftp.NewServer(there, sftp.WithServerWorkingDirectory(home))
	if err != nil {
		t.Fatal(err)
	}
	return clientOf(t, here, server)
}

// clientOf is a client of a server of pkg/sftp at the other end of a pipe.
func clientOf(t *testing.T, pipe net.Conn, server interface {
	Serve() error
	Close() error
}) *sftp.Client {
	t.Helper()
	done := make(chan struct{})
	go func() {
		server.Serve()
		close(done)
	}()
	client, err := sftp.NewClientPipe(pipe, pipe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
		<-done
	})
	return client
}

var sftpServers = map[string]func(*testing.T, string) *sftp.Client{"OpenSSH": overPipe, "pkg/sftp": inProcess}

func eachServer(t *testing.T, test func(t *testing.T, connect func(*testing.T, string) *sftp.Client)) {
	for name, connect := range sftpServers {
		t.Run(name, func(t *testing.T) { test(t, connect) })
	}
}

// sftpHome is a temporary home by its real name.
func sftpHome(t *testing.T) string {
	t.Helper()
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return home
}

func add(keys ...sshkey.Public) Change { return Change{Add: lines(keys...)} }

func TestSFTPAddsToNothing(t *testing.T) {
	eachServer(t, func(t *testing.T, connect func(*testing.T, string) *sftp.Client) {
		home := sftpHome(t)
		engine := SFTP(connect(t, home), sshtest.Bookworm, "")
		a, b := newKey(t), newKey(t)
		path, data, err := engine.Read(t.Context())
		if err != nil || data != nil || path != keysFile(home) {
			t.Fatalf("before: %q %q %v", path, data, err)
		}
		answer, err := engine.Edit(t.Context(), Change{Add: lines(a, b), DryRun: true})
		if err != nil || len(answer.Added) != 2 {
			t.Fatalf("dry run: %+v %v", answer, err)
		}
		if _, err := os.Lstat(filepath.Dir(keysFile(home))); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("a dry run made .ssh: %v", err)
		}
		answer, err = engine.Edit(t.Context(), add(a, b))
		if err != nil || len(answer.Added) != 2 || answer.Path != keysFile(home) {
			t.Fatalf("%+v %v", answer, err)
		}
		if got, want := content(t, home), a.Line()+"\n"+b.Line()+"\n"; got != want {
			t.Errorf("file %q, want %q", got, want)
		}
		for name, want := range map[string]os.FileMode{".ssh": 0o700, ".ssh/authorized_keys": 0o600} {
			if st, err := os.Stat(filepath.Join(home, name)); err != nil || st.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want %v", name, st.Mode(), err, want)
			}
		}
		if _, data, err = engine.Read(t.Context()); err != nil || string(data) != content(t, home) {
			t.Errorf("read %q, %v", data, err)
		}
		answer, err = engine.Edit(t.Context(), add(b))
		if err != nil || len(answer.Added) != 0 || answer.Have[b.Base64()][0].Number != 2 {
			t.Errorf("again: %+v %v", answer, err)
		}
		noLeftovers(t, home)
	})
}

// OpenSSH brings files and directories to the disk; of pkg/sftp's server it is said
// that it does not.
func TestSFTPTellsWhetherItIsOnTheDisk(t *testing.T) {
	eachServer(t, func(t *testing.T, connect func(*testing.T, string) *sftp.Client) {
		client := connect(t, sftpHome(t))
		_, syncs := client.HasExtension(extFsync)
		answer, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), add(newKey(t)))
		if err != nil || (answer.Unsynced == "") != syncs {
			t.Errorf("fsync %v, and it says %q, %v", syncs, answer.Unsynced, err)
		}
	})
}

func TestSFTPKeepsWhatIsThere(t *testing.T) {
	eachServer(t, func(t *testing.T, connect func(*testing.T, string) *sftp.Client) {
		for name, old := range map[string]string{
			"no newline": "ssh-ed25519 AAAA someone",
			"NULs":       "ssh-ed25519 AAAA someone\n\x00\x00\x00",
			"Latin-1":    "# caf\xe9\r\n",
			"empty":      "",
			"32 KiB":     strings.Repeat("#\n", 16<<10),
			"3 MiB":      strings.Repeat("# a line of no use to anybody, and long\n", 80_000),
		} {
			home := sftpHome(t)
			write(t, home, old)
			if err := os.Chmod(keysFile(home), 0o440); err != nil {
				t.Fatal(err)
			}
			key := newKey(t)
			if _, err := SFTP(connect(t, home), sshtest.Bookworm, "").Edit(t.Context(), add(key)); err != nil {
				t.Fatal(name, err)
			}
			want := old
			if old != "" && !strings.HasSuffix(old, "\n") {
				want += "\n"
			}
			want += key.Line() + "\n"
			if got := content(t, home); got != want {
				t.Errorf("%s: %d bytes, want %d", name, len(got), len(want))
			}
			if st, err := os.Stat(keysFile(home)); err != nil || st.Mode().Perm() != 0o440 {
				t.Errorf("%s: mode %v, want 0440", name, st.Mode())
			}
			noLeftovers(t, home)
		}
	})
}

func TestSFTPDrops(t *testing.T) {
	home := sftpHome(t)
	write(t, home, "# one\n# two\n# three\n")
	engine := SFTP(overPipe(t, home), sshtest.Bookworm, "")
	if _, err := engine.Edit(t.Context(), Change{Drop: []Numbered{{2, "# two"}}}); err != nil {
		t.Fatal(err)
	}
	if got := content(t, home); got != "# one\n# three\n" {
		t.Errorf("file %q", got)
	}
	var put *PutError
	if _, err := engine.Edit(t.Context(), Change{Drop: []Numbered{{2, "# two"}}}); !errors.As(err, &put) || put.Cause != "busy" {
		t.Errorf("a line that is another by now: %v", err)
	}
}

func TestSFTPFollowsLinksInTheHome(t *testing.T) {
	eachServer(t, func(t *testing.T, connect func(*testing.T, string) *sftp.Client) {
		for name, link := range map[string]func(home string) string{
			"relative": func(string) string { return "../dotfiles/./keys" },
			"absolute": func(home string) string { return home + "/dotfiles/keys" },
			"by another name of the home": func(home string) string {
				os.Symlink(home, home+".too")
				t.Cleanup(func() { os.Remove(home + ".too") })
				return home + ".too/dotfiles/keys"
			},
		} {
			home := sftpHome(t)
			write(t, home, "# mine\n")
			if err := os.Mkdir(home+"/dotfiles", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(keysFile(home), home+"/dotfiles/keys"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(link(home), keysFile(home)); err != nil {
				t.Fatal(err)
			}
			key := newKey(t)
			answer, err := SFTP(connect(t, home), sshtest.Bookworm, "").Edit(t.Context(), add(key))
			if err != nil || answer.Path != home+"/dotfiles/keys" {
				t.Errorf("%s: %+v %v", name, answer, err)
			}
			if st, err := os.Lstat(keysFile(home)); err != nil || st.Mode()&os.ModeSymlink == 0 {
				t.Errorf("%s: the link is gone: %v", name, err)
			}
			if got := content(t, home); got != "# mine\n"+key.Line()+"\n" {
				t.Errorf("%s: file %q", name, got)
			}
		}
	})
}

// What cannot be done right is not done, and named.
func TestSFTPRefuses(t *testing.T) {
	const old = "# mine\n"
	for name, c := range map[string]struct {
		cause string
		set   func(t *testing.T, home string)
	}{
		"a folder": {"keys-not-a-file", func(t *testing.T, home string) {
			os.Remove(keysFile(home))
			os.Mkdir(keysFile(home), 0o700)
		}},
		"a pipe": {"keys-not-a-file", func(t *testing.T, home string) {
			os.Remove(keysFile(home))
			syscall.Mkfifo(keysFile(home), 0o600)
		}},
		"a file for .ssh": {"keys-not-a-file", func(t *testing.T, home string) {
			os.RemoveAll(home + "/.ssh")
			os.WriteFile(home+"/.ssh", nil, 0o600)
		}},
		"a circle": {"keys-symlink", func(t *testing.T, home string) {
			os.Remove(keysFile(home))
			os.Symlink("authorized_keys", keysFile(home))
		}},
		"a link out": {"keys-symlink", func(t *testing.T, home string) {
			os.Rename(keysFile(home), home+".out")
			t.Cleanup(func() { os.Remove(home + ".out") })
			os.Symlink(home+".out", keysFile(home))
		}},
		"a folder's link out": {"keys-symlink", func(t *testing.T, home string) {
			os.Rename(home+"/.ssh", home+".out")
			t.Cleanup(func() { os.RemoveAll(home + ".out") })
			os.Symlink("../"+filepath.Base(home)+".out", home+"/.ssh")
		}},
		"too large": {"write-failed", func(t *testing.T, home string) {
			os.Truncate(keysFile(home), 8<<30)
		}},
		"a full disk": {"disk-full", func(t *testing.T, home string) {
			mountTmpfs(t, home+"/.ssh", "size=16k")
			os.WriteFile(keysFile(home), []byte(old), 0o600)
			fill(t, home+"/.ssh/filler")
		}},
		"a read-only file system": {"read-only-fs", func(t *testing.T, home string) {
			mountTmpfs(t, home+"/.ssh", "size=1m")
			os.WriteFile(keysFile(home), []byte(old), 0o600)
			if err := syscall.Mount("", home+"/.ssh", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			home := sftpHome(t)
			write(t, home, old)
			c.set(t, home)
			_, err := SFTP(overPipe(t, home), sshtest.Bookworm, "").Edit(t.Context(), add(newKey(t)))
			var put *PutError
			if !errors.As(err, &put) || put.Cause != c.cause {
				t.Errorf("error %v (%+v), want cause %s", err, put, c.cause)
			}
			if st, err := os.Stat(keysFile(home)); err == nil && st.Mode().IsRegular() && st.Size() == int64(len(old)) && content(t, home) != old {
				t.Errorf("the file changed: %q", content(t, home))
			}
			found, _ := filepath.Glob(home + "/.ssh/.authorized_keys*")
			if len(found) > 0 {
				t.Errorf("left behind: %v", found)
			}
		})
	}
}

// Without a rename in one step nothing is written.
func TestSFTPWithoutPosixRename(t *testing.T) {
	if err := sftp.SetSFTPExtensions("statvfs@openssh.com"); err != nil {
		t.Fatal(err)
	}
	home := sftpHome(t)
	write(t, home, "# mine\n")
	client := inProcess(t, home)
	if err := sftp.SetSFTPExtensions("hardlink@openssh.com", "posix-rename@openssh.com", "statvfs@openssh.com"); err != nil {
		t.Fatal(err)
	}
	var put *PutError
	if _, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "write-failed" {
		t.Errorf("error %v", err)
	}
	if content(t, home) != "# mine\n" {
		t.Error("the file changed")
	}
}

func TestSFTPElsewhere(t *testing.T) {
	home, etc := sftpHome(t), sftpHome(t)
	engine := SFTP(overPipe(t, home), sshtest.Bookworm, etc+"/authorized_keys")
	if answer, err := engine.Edit(t.Context(), add(newKey(t))); err != nil || answer.Path != etc+"/authorized_keys" {
		t.Errorf("%+v %v", answer, err)
	}
	if answer, err := SFTP(overPipe(t, home), sshtest.Bookworm, "keys/pi").Edit(t.Context(), add(newKey(t))); err != nil || answer.Path != home+"/keys/pi" {
		t.Errorf("%+v %v", answer, err)
	}
	var put *PutError
	if _, err := SFTP(overPipe(t, home), sshtest.Bookworm, "../keys").Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "keys-symlink" {
		t.Errorf("out of the home: %v", err)
	}
	if os.Geteuid() != 0 {
		return
	}
	// Root writes nothing where another may put a link meanwhile.
	for _, open := range []func() error{
		func() error { return os.Chmod(etc, 0o1777) },
		func() error { return cmp.Or(os.Chmod(etc, 0o755), os.Chown(etc, 1000, 1000)) },
	} {
		if err := open(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(etc + "/authorized_keys")
		_, err := engine.Edit(t.Context(), add(newKey(t)))
		after, _ := os.ReadFile(etc + "/authorized_keys")
		if !errors.As(err, &put) || put.Cause != "wrong-owner" || put.Path != etc || !bytes.Equal(before, after) {
			t.Errorf("where others write: %v", err)
		}
		if left, _ := os.ReadDir(etc); len(left) != 1 {
			t.Errorf("left: %v", left)
		}
	}
}

// A read may come short of what was asked for, anywhere.
func TestSFTPReadsWhatComesInPieces(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	client := requestServer(t, "/home/pi", map[string][]byte{"/home/pi/.ssh/authorized_keys": want})
	_, got, err := SFTP(client, sshtest.Bookworm, "").Read(t.Context())
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d; %v", len(got), len(want), err)
	}
}

// inPieces reads at most 1000 bytes at once.
type inPieces struct{ io.ReaderAt }

func (r inPieces) ReadAt(b []byte, off int64) (int, error) {
	return r.ReaderAt.ReadAt(b[:min(len(b), 1000)], off)
}

type piecemeal struct{ sftp.FileReader }

func (p piecemeal) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	f, err := p.FileReader.Fileread(r)
	return inPieces{f}, err
}

// requestServer serves files from memory, by reads that come short.
func requestServer(t *testing.T, home string, files map[string][]byte) *sftp.Client {
	t.Helper()
	handlers := sftp.InMemHandler()
	handlers.FileGet = piecemeal{handlers.FileGet}
	here, there := net.Pipe()
	server := sftp.NewRequestServer(there, handlers, sftp.WithStartDirectory(home))
	client := clientOf(t, here, server)
	if err := client.MkdirAll(home); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := client.MkdirAll(filepath.Dir(name)); err != nil {
			t.Fatal(err)
		}
		f, err := client.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(data); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	return client
}

// What is said of Windows rests on the names that its sftp gives.
func TestSFTPOnWindows(t *testing.T) {
	const windows = "SSH-2.0-OpenSSH_for_Windows_9.5"
	const admins = "/C:/ProgramData/ssh/administrators_authorized_keys"
	client := requestServer(t, "/C:/Users/pi", map[string][]byte{admins: nil})
	var put *PutError
	if _, err := SFTP(client, windows, "").Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "keys-file-elsewhere" || put.Path != admins {
		t.Errorf("an administrator: %v", err)
	}
	if _, err := SFTP(requestServer(t, "/C:/Users/pi", nil), windows, admins).Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "keys-file-elsewhere" {
		t.Errorf("by its name: %v", err)
	}
	if path, data, err := SFTP(requestServer(t, "/C:/Users/pi", nil), windows, "").Read(t.Context()); err != nil || data != nil || path != "/C:/Users/pi/.ssh/authorized_keys" {
		t.Errorf("an ordinary user: %q %q %v", path, data, err)
	}
}

// Sixteen writers on connections of their own, all with one key in common.
func manyWriters(t *testing.T, connect func() *sftp.Client) (keys []sshkey.Public) {
	t.Helper()
	same := newKey(t)
	for range 16 {
		keys = append(keys, newKey(t))
	}
	var all sync.WaitGroup
	for _, k := range keys {
		client := connect()
		all.Go(func() {
			if _, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), add(same, k)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	return append(keys, same)
}

func allThere(t *testing.T, home string, keys []sshkey.Public, more int) {
	t.Helper()
	got := content(t, home)
	for _, k := range keys {
		if n := strings.Count(got, k.Line()+"\n"); n != 1 {
			t.Errorf("%d lines of one key, want 1", n)
		}
	}
	if n := strings.Count(got, "\n"); n != len(keys)+more {
		t.Errorf("%d lines, want %d", n, len(keys)+more)
	}
	noLeftovers(t, home)
}

func TestSFTPManyWritersAtOnce(t *testing.T) {
	eachServer(t, func(t *testing.T, connect func(*testing.T, string) *sftp.Client) {
		home := sftpHome(t)
		keys := manyWriters(t, func() *sftp.Client { return connect(t, home) })
		allThere(t, home, keys, 0)
	})
}

// A turn that is taken away from a writer that lives costs it time, and no
// line: here somebody takes every turn away as fast as it can.
func TestSFTPWritersWhoseTurnIsTakenAway(t *testing.T) {
	home := sftpHome(t)
	write(t, home, "# mine\n")
	stop, stopped, taken := make(chan struct{}), make(chan struct{}), 0
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(7 * time.Millisecond):
			}
			turn, aside := home+"/.ssh/.authorized_keys.turn", home+"/.ssh/.authorized_keys.taken"
			if held, _ := os.ReadDir(turn); len(held) > 0 && os.Rename(turn, aside) == nil {
				os.RemoveAll(aside)
				taken++
			}
		}
	}()
	keys := manyWriters(t, func() *sftp.Client { return overPipe(t, home) })
	close(stop)
	<-stopped
	allThere(t, home, keys, 1)
	if taken == 0 {
		t.Error("no turn was taken away: this showed nothing")
	}
}

// A writer that was killed leaves its turn, and the next one goes on.
func TestSFTPAfterADeadWriter(t *testing.T) {
	home := sftpHome(t)
	write(t, home, "# mine\n")
	dead, err := sftpEngine{client: overPipe(t, home)}.take(t.Context(), home+"/.ssh", time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	next := sftpEngine{client: overPipe(t, home), patience: 200 * time.Millisecond}
	if _, err := next.Edit(t.Context(), add(key)); err != nil {
		t.Fatal(err)
	}
	if err := dead.publish(keysFile(home)); !errors.Is(err, errOvertaken) {
		t.Errorf("the dead one could still write: %v", err)
	}
	if got := content(t, home); got != "# mine\n"+key.Line()+"\n" {
		t.Errorf("file %q", got)
	}
	noLeftovers(t, home)
}

// An editor takes no turns. What it writes while we write is not lost: it is
// seen before the new file takes its place, and the edit begins again.
func TestSFTPNoticesAnEditor(t *testing.T) {
	home := sftpHome(t)
	write(t, home, "# mine\n")
	edits := 0
	client := watched(t, home, func(packet []byte) {
		if bytes.Contains(packet, []byte(extFsync)) && edits == 0 {
			edits++
			write(t, home, "# mine\n# the editor's\n")
		}
	})
	key := newKey(t)
	if _, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), add(key)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, home); got != "# mine\n# the editor's\n"+key.Line()+"\n" || edits != 1 {
		t.Errorf("file %q", got)
	}
	noLeftovers(t, home)
}

// What comes right after the new file has its place decides whether the change
// holds: a line that is taken out must not be back.
func TestSFTPReadsBack(t *testing.T) {
	for _, c := range []struct {
		name, after string
		unsure      bool
	}{
		{"nothing", "", false},
		{"another adds a key", "# mine\n# theirs\n", false},
		{"an editor writes what it had", "# mine\n# to go\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := sftpHome(t)
			write(t, home, "# mine\n# to go\n")
			renamed := false
			client := watched(t, home, func(packet []byte) {
				if renamed && c.after != "" {
					write(t, home, c.after)
				}
				renamed = bytes.HasSuffix(packet, []byte(keysFile(home))) && bytes.Contains(packet, []byte(extRename))
			})
			_, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), Change{Drop: []Numbered{{2, "# to go"}}})
			var after *unsure
			if c.unsure != errors.As(err, &after) || !c.unsure && err != nil {
				t.Errorf("error %v", err)
			}
			want := c.after
			if want == "" {
				want = "# mine\n"
			}
			if got := content(t, home); got != want {
				t.Errorf("file %q", got)
			}
		})
	}
}

// A watcher sees what is sent before it is.
type watcher struct {
	io.WriteCloser
	see func([]byte)
}

func (w *watcher) Write(b []byte) (int, error) {
	w.see(b)
	return w.WriteCloser.Write(b)
}

// login makes a session as the programs do.
func login(t *testing.T, e sshtest.Endpoint, user, password string) *session.Client {
	t.Helper()
	ctx, _, _, cancel := session.Deadline(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	client, _, err := session.Login(ctx, session.Config{
		Dial: func(ctx context.Context) (net.Conn, error) { return (&net.Dialer{}).DialContext(ctx, "tcp", e.Addr) },
		User: user,
		CheckHostKey: func(key ssh.PublicKey, _ net.Addr) error {
			for _, k := range e.HostKeys {
				if bytes.Equal(k.Marshal(), key.Marshal()) {
					return nil
				}
			}
			return errors.New("not its host key")
		},
		Password: func(context.Context) ([]byte, error) { return []byte(password), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func sftpOf(t *testing.T, c *session.Client) *sftp.Client {
	t.Helper()
	client, err := c.SFTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestSFTPToAPretendPi(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	keys := manyWriters(t, func() *sftp.Client { return sftpOf(t, login(t, pi.Endpoint, pi.User, pi.Password)) })
	allThere(t, pi.Home, keys, 0)
}

// The account that this is for: sshd lets it have sftp and nothing else. What
// is written is what sshd then lets in.
func TestSFTPToSSHD(t *testing.T) {
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "ssh")
	user := sshtest.AddUser(t, sshtest.UserConfig{Shell: "/usr/sbin/nologin"})
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"MaxStartups 100", "Match User " + user.Name, "ForceCommand internal-sftp"}})
	keys := manyWriters(t, func() *sftp.Client { return sftpOf(t, login(t, server.Endpoint, user.Name, user.Password)) })
	allThere(t, user.Home, keys, 0)
	for name, want := range map[string]os.FileMode{".ssh": 0o700, ".ssh/authorized_keys": 0o600} {
		st, err := os.Stat(filepath.Join(user.Home, name))
		if err != nil || st.Mode().Perm() != want || int(st.Sys().(*syscall.Stat_t).Uid) != user.UID {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
	mine := sshtest.NewKey(t, t.TempDir(), "ecdsa")
	public, err := sshkey.ParsePublic(mine.Line)
	if err != nil {
		t.Fatal(err)
	}
	client := sftpOf(t, login(t, server.Endpoint, user.Name, user.Password))
	answer, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), add(public))
	if err != nil || answer.Unsynced != "" {
		t.Fatalf("%+v %v", answer, err)
	}
	args := append(server.SSHArgs(t), "-i", mine.File, "-b", "-", user.Name+"@127.0.0.1")
	cmd := sshtest.Command(t, t.TempDir(), "sftp", args...)
	cmd.Stdin = strings.NewReader("pwd\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sftp with the key: %v: %s", err, out)
	}

	// A file of another's cannot be kept as it is, and stays.
	before := content(t, user.Home)
	if err := os.Chown(keysFile(user.Home), 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(keysFile(user.Home), 0o644); err != nil {
		t.Fatal(err)
	}
	var put *PutError
	if _, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "wrong-owner" {
		t.Errorf("a file of root's: %v", err)
	}
	// One that may not be read is not an empty one.
	if err := os.Chmod(keysFile(user.Home), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SFTP(client, sshtest.Bookworm, "").Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "keys-unreadable" || !put.denied {
		t.Errorf("an unreadable file: %v", err)
	}
	if _, data, err := SFTP(client, sshtest.Bookworm, "").Read(t.Context()); err == nil {
		t.Errorf("an unreadable file was read: %q", data)
	}
	if content(t, user.Home) != before {
		t.Error("the file changed")
	}
	noLeftovers(t, user.Home)
}

// The connection may end at any byte, of either side's: the file is the old or
// the new one, and nothing untrue is said of it.
func TestSFTPCutAnywhere(t *testing.T) {
	const old = "# mine\n"
	home := sftpHome(t)
	key := newKey(t)
	want := old + key.Line() + "\n"
	for _, side := range []string{"what we send", "what we get"} {
		whole := cut(t, home, old, key, side, 1<<30)
		if content(t, home) != want {
			t.Fatalf("uncut: %q", content(t, home))
		}
		var kept, written int
		for n := 0; n < whole; n += max(1, whole/150) {
			cut(t, home, old, key, side, n)
			switch content(t, home) {
			case old:
				kept++
			case want:
				written++
			default:
				t.Fatalf("after %d of %d bytes of %s: %q", n, whole, side, content(t, home))
			}
		}
		if kept == 0 || written == 0 {
			t.Errorf("%d old and %d new files: this showed nothing", kept, written)
		}
	}
}

// cut adds a key over a connection that ends after n bytes of one side, and
// returns how many there were.
func cut(t *testing.T, home, old string, key sshkey.Public, side string, n int) int {
	t.Helper()
	os.RemoveAll(home + "/.ssh")
	write(t, home, old)
	here, there := net.Pipe()
	server, err := sftp.NewServer(there, sftp.WithServerWorkingDirectory(home))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		server.Serve()
		server.Close()
		close(done)
	}()
	defer func() { here.Close(); <-done }()
	c := &cutter{conn: here, left: n, writing: side == "what we send"}
	client, err := sftp.NewClientPipe(readCutter{c}, c)
	if err != nil {
		return c.passed
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = SFTP(client, sshtest.Bookworm, "").Edit(ctx, add(key))
	client.Close()
	<-done // what was sent is carried out by then
	var put *PutError
	switch {
	case err == nil && content(t, home) == old:
		t.Errorf("after %d bytes of %s: it said done, and it is not", n, side)
	case errors.As(err, &put) && content(t, home) != old:
		t.Errorf("after %d bytes of %s: it said unchanged, and it is: %v", n, side, err)
	case ctx.Err() != nil:
		t.Errorf("after %d bytes of %s: it hung", n, side)
	}
	return c.passed
}

// A cutter ends the connection after so many bytes of one direction.
type cutter struct {
	conn    net.Conn
	writing bool
	left    int
	passed  int
}

func (c *cutter) Close() error { return c.conn.Close() }

func (c *cutter) Write(b []byte) (int, error) {
	if !c.writing {
		return c.conn.Write(b)
	}
	n, err := c.conn.Write(b[:min(len(b), c.left)])
	return c.count(n, len(b), err)
}

func (c *cutter) count(n, of int, err error) (int, error) {
	c.left -= n
	c.passed += n
	if err == nil && (n < of || c.left == 0) {
		c.conn.Close()
		if n < of {
			err = io.ErrClosedPipe
		}
	}
	return n, err
}

type readCutter struct{ *cutter }

func (c readCutter) Read(b []byte) (int, error) {
	if c.writing {
		return c.conn.Read(b)
	}
	n, err := c.conn.Read(b[:min(len(b), c.left)])
	if n, err := c.count(n, n, err); err != nil || n > 0 {
		return n, err
	}
	return 0, io.ErrUnexpectedEOF
}

// Writers of both kinds at once take turns, and lose nothing.
func TestSFTPAndShellAtOnce(t *testing.T) {
	home := sftpHome(t)
	write(t, home, "# mine\n")
	run := account(t, "sh", home)
	var all sync.WaitGroup
	var keys []sshkey.Public
	for i := range 16 {
		key := newKey(t)
		keys = append(keys, key)
		engine := Shell(run, "")
		if i%2 == 0 {
			engine = SFTP(overPipe(t, home), "", "")
		}
		all.Go(func() {
			if _, _, err := putLines(t.Context(), engine, lines(key), false, false); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	allThere(t, home, keys, 1)
}

// A shell clears up after a writer by sftp that was killed as it waited, and
// keeps off what is not provably such a one's.
func TestShellCleansUpAfterTheKilledBySFTP(t *testing.T) {
	home := sftpHome(t)
	write(t, home, "# mine\n")
	old := time.Now().Add(-10 * time.Minute)
	folder := func(name, file string, made time.Time) string {
		dir := filepath.Join(home, ".ssh", name)
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, file), nil, 0o600), os.Chtimes(dir, made, made)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	left := folder(".authorized_keys."+rand.Text(), rand.Text(), old)
	// It was about to take the turn of a shell away.
	half := folder(".authorized_keys."+rand.Text(), rand.Text(), time.Now())
	claim := filepath.Join(half, "12.345.pi.local")
	if err := errors.Join(os.Mkdir(claim, 0o700), os.WriteFile(filepath.Join(claim, "new"), nil, 0o600), os.Chtimes(half, old, old)); err != nil {
		t.Fatal(err)
	}
	keep := []string{
		folder(".authorized_keys."+rand.Text(), rand.Text(), time.Now()), // it may be waiting
		folder(".authorized_keys."+rand.Text(), "notes", old),
		folder(".authorized_keys.of-the-machines-at-home", rand.Text(), old),
		folder(".authorized_keys.d", rand.Text(), old),
	}
	if _, _, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(newKey(t)), false, false); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{left, half} {
		if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", left, err)
		}
	}
	for _, dir := range keep {
		if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
			t.Errorf("%s: %v %v", dir, files, err)
		}
	}
}

// A writer by sftp that is killed in its turn does not stop a shell, nor a
// killed shell one by sftp.
func TestSFTPAfterAKilledShell(t *testing.T) {
	home := sftpHome(t)
	write(t, home, "# mine\n")
	bin := t.TempDir()
	program(t, bin, "sync", "kill -KILL $PPID")
	if _, _, err := putLines(t.Context(), Shell(account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH")), ""), lines(newKey(t)), false, false); err == nil {
		t.Fatal("it was not killed")
	}
	if left, err := filepath.Glob(filepath.Join(home, ".ssh/.authorized_keys.turn/*/new")); err != nil || len(left) != 1 {
		t.Fatalf("what is left: %q %v", left, err)
	}
	key := newKey(t)
	next := sftpEngine{client: overPipe(t, home), patience: 200 * time.Millisecond}
	if _, err := next.Edit(t.Context(), add(key)); err != nil {
		t.Fatal(err)
	}
	if got := content(t, home); got != "# mine\n"+key.Line()+"\n" {
		t.Errorf("file %q", got)
	}
	noLeftovers(t, home)
}

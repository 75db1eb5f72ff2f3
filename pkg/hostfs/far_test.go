//go:build unix

package hostfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

// with returns a Runner with this shell as /bin/sh, and programs found in path.
func with(path string, shell ...string) Runner {
	return func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		script := strings.Replace(command, "/bin/sh", strings.Join(shell, " "), 1)
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", script)
		cmd.Env = []string{"PATH=" + path, "HOME=/home/nobody else"}
		cmd.Dir = "/"
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			err = nil
		}
		return out, stderr.Bytes(), cmd.ProcessState.ExitCode(), err
	}
}

// busybox returns a PATH with nothing on it but what BusyBox has.
func busybox(t *testing.T) (path, program string) {
	t.Helper()
	program, err := exec.LookPath("busybox")
	if err != nil {
		return "", ""
	}
	list, err := exec.Command(program, "--list").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name := range strings.FieldsSeq(string(list)) {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir, program
}

// everyWay are the ways to the files of this machine.
func everyWay(t *testing.T) map[string]FS {
	ways := map[string]FS{"local": Local()}
	if card := rootCard(t); card != nil {
		ways["card"] = card
	}
	for _, shell := range []string{"dash", "bash --posix", "ksh"} {
		if name, rest, _ := strings.Cut(shell, " "); rest != "" || name != "" {
			if path, err := exec.LookPath(name); err == nil {
				ways["sh "+name] = Far(with("/usr/bin:/bin", path, rest))
			}
		}
	}
	if path, program := busybox(t); program != "" {
		ways["sh busybox"] = Far(with(path, program, "ash"))
	}
	if client := sftpServer(t, 0); client != nil {
		ways["sftp"] = SFTP(client, "root")
	}
	return ways
}

// sftpServer starts OpenSSH's sftp-server on this machine; uid 0 is whoever we
// are. It is nil where there is none.
func sftpServer(t *testing.T, uid int) *sftp.Client {
	t.Helper()
	for _, program := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"} {
		if _, err := os.Stat(program); err != nil {
			continue
		}
		cmd := exec.Command(program, "-e")
		cmd.Dir = os.TempDir() // in / an account without a home would be nobody
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		if uid != 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		}
		in, err := cmd.StdinPipe()
		must(t, err)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		client, err := sftp.NewClientPipe(out, in)
		must(t, err)
		t.Cleanup(func() {
			client.Close()
			cmd.Wait()
		})
		return client
	}
	return nil
}

// realDir is a directory whose name holds no link.
func realDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) string {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// What a repair of more than modes does, in each way to the files.
func TestRename(t *testing.T) {
	for way, fsys := range everyWay(t) {
		t.Run(way, func(t *testing.T) {
			dir := realDir(t)
			in := func(name string) string { return filepath.Join(dir, name) }
			make := map[string]func(string) error{
				"file":     func(p string) error { return os.WriteFile(p, []byte("x"), 0o640) },
				"folder":   func(p string) error { return errors.Join(os.Mkdir(p, 0o755), os.WriteFile(p+"/in", nil, 0o600)) },
				"link":     func(p string) error { return os.Symlink("folder", p) },
				"dangling": func(p string) error { return os.Symlink("no where", p) },
				"fifo":     func(p string) error { return unix.Mkfifo(p, 0o600) },
			}
			for what, mk := range make {
				from, to := in(what+" it's\n"), in("-n "+what)
				must(t, mk(from))
				was := lstat(t, Local(), from)
				if err := fsys.Rename(t.Context(), from, was, to); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				if now := lstat(t, Local(), to); now != was {
					t.Errorf("%s became %+v, was %+v", what, now, was)
				}
				if _, err := os.Lstat(from); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is still there: %v", what, err)
				}
			}
			// Whatever is in the way stays.
			for what, mk := range make {
				must(t, mk(in(what)))
			}
			file := put(t, in("mine"), "mine")
			before := entries(t, dir)
			for what := range make {
				old := lstat(t, Local(), in(what))
				if err := fsys.Rename(t.Context(), file, lstat(t, Local(), file), in(what)); !errors.Is(err, fs.ErrExist) {
					t.Errorf("over a %s: %v", what, err)
				}
				if err := fsys.Rename(t.Context(), in("folder"), lstat(t, Local(), in("folder")), in(what)); what != "folder" && !errors.Is(err, fs.ErrExist) {
					t.Errorf("a folder over a %s: %v", what, err)
				}
				if now := lstat(t, Local(), in(what)); now != old {
					t.Errorf("%s became %+v", what, now)
				}
			}
			if now := entries(t, dir); !slices.Equal(now, before) || !slices.Equal(entries(t, in("folder")), []string{"in"}) {
				t.Errorf("%q became %q", before, now)
			}
			// So does what is no longer what it was.
			other := lstat(t, Local(), file)
			other.Mode ^= 0o040
			if err := fsys.Rename(t.Context(), file, other, in("new")); !errors.Is(err, ErrChanged) {
				t.Error(err)
			}
			if err := fsys.Rename(t.Context(), in("none"), other, in("new")); err == nil {
				t.Error("nothing was renamed")
			}
			if err := fsys.Rename(t.Context(), file, lstat(t, Local(), file), in("folder/new")); err == nil {
				t.Error("into another folder")
			}
			must(t, os.Symlink(dir, in("way")))
			if err := fsys.Rename(t.Context(), in("way/mine"), lstat(t, Local(), file), in("way/new")); !errors.Is(err, ErrChanged) {
				t.Errorf("by way of a link: %v", err)
			}
			if _, err := os.Lstat(file); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMkdir(t *testing.T) {
	defer unix.Umask(unix.Umask(0o002))
	for way, fsys := range everyWay(t) {
		t.Run(way, func(t *testing.T) {
			dir := realDir(t)
			for name, mode := range map[string]fs.FileMode{".ssh": 0o700, "it's\n": 0o755, "-p": 0o777, "none": 0, "sticky": 0o777 | fs.ModeSticky} {
				p := filepath.Join(dir, name)
				if err := fsys.Mkdir(t.Context(), p, mode); err != nil {
					t.Errorf("%q: %v", name, err)
				} else if st := lstat(t, Local(), p); st.Mode != fs.ModeDir|mode || st.UID != os.Geteuid() {
					t.Errorf("%q is %+v", name, st)
				}
				if err := fsys.Mkdir(t.Context(), p, 0o700); !errors.Is(err, fs.ErrExist) {
					t.Errorf("%q twice: %v", name, err)
				}
			}
			must(t, os.Symlink("no where", filepath.Join(dir, "dangling")))
			if err := fsys.Mkdir(t.Context(), filepath.Join(dir, "dangling"), 0o700); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over a link: %v", err)
			}
			if err := fsys.Mkdir(t.Context(), filepath.Join(dir, "no", "way"), 0o700); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("where there is no folder: %v", err)
			}
			shared := filepath.Join(dir, "shared")
			must(t, os.Mkdir(shared, 0o700))
			must(t, os.Chmod(shared, fs.ModeSetgid|0o755))
			if err := fsys.Mkdir(t.Context(), filepath.Join(shared, "x"), 0o700); err != nil {
				t.Errorf("in a folder that hands on its group: %v", err)
			}
			if os.Geteuid() == 0 {
				ro := mount(t, "tmpfs", "size=64k,ro")
				if err := fsys.Mkdir(t.Context(), filepath.Join(ro, "x"), 0o700); err == nil {
					t.Error("made on a read-only file system")
				}
			}
		})
	}
}

func TestCopy(t *testing.T) {
	for way, fsys := range everyWay(t) {
		t.Run(way, func(t *testing.T) {
			dir := realDir(t)
			in := func(name string) string { return filepath.Join(dir, name) }
			must(t, os.Mkdir(in("other"), 0o755))
			contents := []string{"", "one\n", "no newline", "a\x00b\r\n\xff" + finish + "x", strings.Repeat("0123456789abcdef", maxRead/16)}
			for i, content := range contents {
				from := put(t, in(fmt.Sprintf("from it's %d", i)), content)
				must(t, os.Chmod(from, 0o644))
				to := in(fmt.Sprintf("other/-to\n%d", i))
				if err := fsys.Copy(t.Context(), from, lstat(t, Local(), from), to, 0o640); err != nil {
					t.Errorf("%d: %v", i, err)
					continue
				}
				data, err := os.ReadFile(to)
				if st := lstat(t, Local(), to); err != nil || string(data) != content || st.Mode != 0o640 || st.Nlink > 1 || st.UID != os.Geteuid() {
					t.Errorf("%d: %d bytes, %v, %+v", i, len(data), err, st)
				}
				if err := fsys.Copy(t.Context(), from, lstat(t, Local(), from), to, 0o600); !errors.Is(err, fs.ErrExist) {
					t.Errorf("twice: %v", err)
				}
			}
			if left := entries(t, in("other")); len(left) != len(contents) {
				t.Errorf("left behind: %q", left)
			}
			from := put(t, in("from"), "x")
			must(t, os.Symlink("no where", in("dangling")))
			must(t, os.Symlink("from", in("link")))
			must(t, os.Symlink(dir, in("way")))
			must(t, unix.Mkfifo(in("fifo"), 0o600))
			large := put(t, in("large"), strings.Repeat("x", maxRead+1))
			before := entries(t, dir)
			good := lstat(t, Local(), from)
			other := good
			other.GID++
			for _, c := range []struct {
				what, from, to string
				was            strictmodes.Stat
				want           error
			}{
				{"over a dangling link", from, in("dangling"), good, fs.ErrExist},
				{"over a folder", from, in("other"), good, fs.ErrExist},
				{"another's", from, in("new"), other, ErrChanged},
				{"a link", in("link"), in("new"), good, ErrChanged},
				{"a fifo", in("fifo"), in("new"), good, ErrChanged},
				{"a fifo as such", in("fifo"), in("new"), lstat(t, Local(), in("fifo")), ErrNotRegular},
				{"a folder", in("other"), in("new"), lstat(t, Local(), in("other")), ErrNotRegular},
				{"nothing", in("none"), in("new"), good, nil},
				{"into nothing", from, in("none/new"), good, fs.ErrNotExist},
				{"by way of a link", in("way/from"), in("new"), good, ErrChanged},
				{"to the way of a link", from, in("way/new"), good, ErrChanged},
				{"too large", large, in("new"), lstat(t, Local(), large), bounded.ErrTooLarge},
			} {
				if err := fsys.Copy(t.Context(), c.from, c.was, c.to, 0o600); err == nil || c.want != nil && !errors.Is(err, c.want) {
					t.Errorf("%s: %v", c.what, err)
				}
			}
			if now := entries(t, dir); !slices.Equal(now, before) {
				t.Errorf("%q became %q", before, now)
			}
			if os.Geteuid() == 0 {
				full := mount(t, "tmpfs", "size=64k")
				if err := fsys.Copy(t.Context(), in("from it's 4"), lstat(t, Local(), in("from it's 4")), full+"/x", 0o600); err == nil {
					t.Error("more was written than there is room")
				}
				if left := entries(t, full); len(left) != 0 {
					t.Errorf("left behind: %q", left)
				}
			}
		})
	}
}

func TestReadFile(t *testing.T) {
	for way, fsys := range everyWay(t) {
		t.Run(way, func(t *testing.T) {
			dir := realDir(t)
			in := func(name string) string { return filepath.Join(dir, name) }
			for i, content := range []string{"", "x", "a\n\n", "nul\x00 \xff\r\n" + finish, begin + finish, strings.Repeat("z", chunk), strings.Repeat("0123456789abcde\n", maxRead/16)} {
				p := put(t, in("it's\n"), content)
				if data, err := fsys.ReadFile(t.Context(), p); err != nil || string(data) != content {
					t.Errorf("%d: %d bytes, %v", i, len(data), err)
				}
			}
			put(t, in("file"), "content")
			put(t, in("large"), strings.Repeat("x", maxRead+1))
			must(t, os.Symlink("file", in("link")))
			must(t, os.Symlink("link", in("link 2")))
			must(t, os.Symlink("nothing", in("dangling")))
			must(t, os.Symlink("circle", in("circle")))
			must(t, unix.Mkfifo(in("fifo"), 0o600))
			if data, err := fsys.ReadFile(t.Context(), in("link 2")); err != nil || string(data) != "content" {
				t.Errorf("through links: %q, %v", data, err)
			}
			if data, err := fsys.ReadFile(t.Context(), "/proc/self/mounts"); runtime.GOOS == "linux" && (err != nil || !strings.Contains(string(data), " / ")) { // which claims to be empty
				t.Errorf("proc(5): %d bytes, %v", len(data), err)
			}
			for name, want := range map[string]error{
				"none": fs.ErrNotExist, "none/deeper": fs.ErrNotExist, "dangling": fs.ErrNotExist, "circle": nil,
				"fifo": ErrNotRegular, "": ErrNotRegular, "large": bounded.ErrTooLarge,
			} {
				if data, err := fsys.ReadFile(t.Context(), in(name)); err == nil || want != nil && !errors.Is(err, want) || data != nil {
					t.Errorf("%s: %d bytes, %v", name, len(data), err)
				}
			}
		})
	}
}

func TestGlob(t *testing.T) {
	for way, fsys := range everyWay(t) {
		t.Run(way, func(t *testing.T) {
			dir := realDir(t)
			must(t, os.MkdirAll(filepath.Join(dir, "sshd_config.d"), 0o755))
			for _, name := range []string{"b.conf", "a b.conf", "c", ".hidden.conf", "Z.conf", "new\nline.conf"} {
				put(t, filepath.Join(dir, "sshd_config.d", name), "")
			}
			must(t, os.Symlink("no where", filepath.Join(dir, "sshd_config.d", "dangling.conf")))
			for pattern, want := range map[string][]string{
				"sshd_config.d/*.conf":     {"Z.conf", "a b.conf", "b.conf", "dangling.conf", "new\nline.conf"},
				"*/?.conf":                 {"Z.conf", "b.conf"},
				"sshd_config.d/[ab]*.conf": {"a b.conf", "b.conf"},
				"sshd_config.d/b.conf":     {"b.conf"},
				"sshd_config.d/a b.conf":   {"a b.conf"},
				"sshd_config.d/.*.conf":    {".hidden.conf"},
				"sshd_config.d/x*":         nil,
				"none/*":                   nil,
				"none":                     nil,
				"sshd_config.d/c/*":        nil,
				"sshd_config.d/$(id)*":     nil,
			} {
				for i := range want {
					want[i] = filepath.Join(dir, "sshd_config.d", want[i])
				}
				got, err := fsys.Glob(t.Context(), filepath.Join(dir, pattern))
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("%s: %q, %v", pattern, got, err)
				}
			}
			if _, err := fsys.Glob(t.Context(), "*"); err == nil {
				t.Error("a relative pattern was taken")
			}
		})
	}
}

// What a directory that is closed to us hides is no such file, but is not said
// to be none.
func TestFarReadDenied(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root can be somebody else")
	dir := realDir(t)
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	closed := filepath.Join(dir, "closed")
	must(t, os.Mkdir(closed, 0o700))
	put(t, filepath.Join(closed, "f"), "secret")
	put(t, filepath.Join(dir, "f"), "secret")
	far := Far(shellAs(12345, "sh"))
	for _, name := range []string{"f", "closed/f", "closed/none"} {
		if data, err := far.ReadFile(t.Context(), filepath.Join(dir, name)); !errors.Is(err, fs.ErrPermission) || data != nil {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	for _, pattern := range []string{"closed/*", "closed/f", "closed/x/*"} {
		if names, err := far.Glob(t.Context(), filepath.Join(dir, pattern)); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %q, %v", pattern, names, err)
		}
	}
	for what, err := range map[string]error{
		"mkdir":  far.Mkdir(t.Context(), filepath.Join(dir, "x"), 0o700),
		"copy":   far.Copy(t.Context(), "/etc/passwd", lstat(t, far, "/etc/passwd"), filepath.Join(dir, "x"), 0o600),
		"rename": far.Rename(t.Context(), closed, lstat(t, far, closed), filepath.Join(dir, "x")),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if now := entries(t, dir); !slices.Equal(now, []string{"closed", "f"}) {
		t.Errorf("there is %q", now)
	}
}

// What a far sync(1) cannot bring to the disk is not done. An old one knows no file,
// and brings all there is.
func TestFarSync(t *testing.T) {
	const fails = "echo \"sync: error syncing '$1': Input/output error\"; exit 1"
	for script, c := range map[string]struct {
		want  error
		there []string
	}{
		fails:                                   {ErrUnsure, []string{"folder", "it.new"}},
		"[ \"$1\" != . ] || { " + fails + "; }": {ErrUnsure, []string{"folder", "it.copy", "it.new"}},
		"[ $# = 0 ] || { echo 'usage: sync'; exit 1; }": {nil, []string{"folder", "it.copy", "it.new"}},
	} {
		bin := t.TempDir()
		ok(t, os.WriteFile(filepath.Join(bin, "sync"), []byte("#!/bin/sh\nexec >&2\n"+script+"\n"), 0o755))
		f, dir := Far(with(bin+":/usr/bin:/bin", "/bin/sh")), realDir(t)
		name := filepath.Join(dir, "it")
		ok(t, os.WriteFile(name, []byte("x"), 0o600))
		was, err := f.Lstat(t.Context(), name)
		ok(t, err)
		for what, err := range map[string]error{
			"copying":  f.Copy(t.Context(), name, was, name+".copy", 0o600),
			"a folder": f.Mkdir(t.Context(), filepath.Join(dir, "folder"), 0o700),
			"renaming": f.Rename(t.Context(), name, was, name+".new"),
		} {
			if !errors.Is(err, c.want) {
				t.Errorf("%s, where sync says %q: %v", what, script, err)
			}
		}
		if there := entries(t, dir); !slices.Equal(there, c.there) {
			t.Errorf("where sync says %q, there is %q", script, there)
		}
	}
}

func TestFarAttributes(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root mounts")
	dir := mount(t, "tmpfs", "size=64k")
	home := filepath.Join(dir, "home")
	must(t, os.Mkdir(home, 0o755))
	fresh := func() FS { return Far(with("/usr/bin:/bin", "/bin/sh")) } // which remembers nothing
	check := func(p string, want strictmodes.Attributes) {
		t.Helper()
		if a, err := fresh().Attributes(t.Context(), p); err != nil || !reflect.DeepEqual(a, want) {
			t.Errorf("%+v, %v; want %+v", a, err, want)
		}
	}
	check(home, strictmodes.Attributes{FS: "tmpfs"})
	check("/proc/self", strictmodes.Attributes{FS: "proc"})
	if _, err := exec.LookPath("setfacl"); err == nil {
		owning := strictmodes.Grant{Group: true, ID: strictmodes.OwningGroup, Mode: 5}
		for _, c := range []struct {
			acl  string
			want []strictmodes.Grant
		}{
			{"u:12345:rwx", []strictmodes.Grant{{ID: 12345, Mode: 7}, owning}}, {"g:12345:r-x", []strictmodes.Grant{owning, {Group: true, ID: 12345, Mode: 5}}},
			{"u:12345:rwx,u:0:-w-,m::r-x", []strictmodes.Grant{{Mode: 0}, {ID: 12345, Mode: 5}, owning}}, {"m::rwx", []strictmodes.Grant{owning}}, {"d:u:12345:rwx", nil}, {"g::rwx", nil},
		} {
			run(t, "setfacl", "-b", home)
			run(t, "setfacl", "-m", c.acl, home)
			check(home, strictmodes.Attributes{FS: "tmpfs", Granted: c.want})
			if a, err := Local().Attributes(t.Context(), home); err != nil || !reflect.DeepEqual(a.Granted, c.want) {
				t.Errorf("%s, here: %+v, %v; want %+v", c.acl, a, err, c.want)
			}
			far := fresh()
			lstat(t, far, home)
			if got, want := far.(interface{ Listless(string) bool }).Listless(home), c.want == nil && c.acl[0] != 'd'; got != want {
				t.Errorf("%s: listless: %v", c.acl, got)
			}
		}
		run(t, "setfacl", "-b", home)
	}
	run(t, "mount", "-o", "remount,ro", dir)
	check(home, strictmodes.Attributes{FS: "tmpfs", ReadOnly: true})
	if _, err := fresh().Attributes(t.Context(), home+"/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}

	// Where a flag can be set at all.
	f := put(t, filepath.Join(realDir(t), "f"), "")
	if exec.Command("chattr", "+i", f).Run() != nil {
		t.Log("no chattr here")
		return
	}
	defer run(t, "chattr", "-i", f)
	if a, err := fresh().Attributes(t.Context(), f); err != nil || !a.Immutable {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestMountOf(t *testing.T) {
	const table = "/dev/root / ext4 rw,noatime 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/a /home ext4 ro,x 0 0\n" +
		"/dev/b /home/with\\040blank vfat rw,errors=remount-ro 0 0\noverlay / overlay rw 0 0\nbroken\n"
	for p, want := range map[string]strictmodes.Attributes{
		"/":                  {FS: "overlay"},
		"/etc":               {FS: "overlay"},
		"/tmpx":              {FS: "overlay"},
		"/tmp/x":             {FS: "tmpfs"},
		"/home/pi":           {FS: "ext4", ReadOnly: true},
		"/home/with blank/x": {FS: "vfat"},
	} {
		if got := attributesOf(mountOf(table, p)); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v", p, got)
		}
	}
	if got := attributesOf(mountOf("", "/x")); !reflect.DeepEqual(got, strictmodes.Attributes{}) {
		t.Errorf("of nothing: %+v", got)
	}
}

// An answer that lies or stops is no answer, and never a panic.
func TestFarHostileAnswers(t *testing.T) {
	for _, said := range []string{
		"", "\n", "changed", "exists", "failed ", "unsure x", "regular", "regular \n", "regular -rw-r--r-- 1 0 0 99999999999999999999 x\n",
		"regular -rw-r--r-- 1 0 0 -5 x\nabc", "regular -rw-r--r-- 1 0 0 4 x\nabc", "regular -rw-r--r-- 1 0 0 2 x\nabc", "\x00", "a\x00b",
		"drwxr-xr-x 1 0 0\n", middle, middle + middle + middle, "drwxr-xr-x 1 0 0 1 x\n" + middle, "\x1b[2J" + strings.Repeat("x", 1<<20),
	} {
		far := Far(func(context.Context, string) ([]byte, []byte, int, error) {
			return []byte(begin + said + finish), nil, 0, nil
		})
		was := strictmodes.Stat{Mode: 0o600, Nlink: 1}
		_, readErr := far.ReadFile(t.Context(), "/x")
		_, attrErr := far.Attributes(t.Context(), "/x")
		_, globErr := far.Glob(t.Context(), "/x")
		if said == "" || strings.HasSuffix(said, "\x00") {
			globErr = errors.New("that is an answer")
		}
		for what, err := range map[string]error{
			"read": readErr, "attributes": attrErr, "glob": globErr,
			"rename": far.Rename(t.Context(), "/x", was, "/y"), "mkdir": far.Mkdir(t.Context(), "/x", 0o700), "copy": far.Copy(t.Context(), "/x", was, "/y", 0o600),
		} {
			if err == nil || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%.60q: %s: %.200v", said, what, err)
			}
		}
	}
}

// A judgement costs one command whatever is on the way, and one if there is
// something to repair, or fstab(5) to read since the keys are missing; each
// repair costs one, and one to judge again. At 200 ms a command, all else is
// waiting.
func TestFarRoundTrips(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root can be somebody else")
	top := realDir(t)
	for d := top; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	const uid = 12345
	for name, c := range map[string]struct {
		make    func(home string)
		likely  string // a keys file that is not the usual one
		looks   int    // commands for the first judgement
		repairs int
	}{
		"good":           {make: func(string) {}, looks: 1},
		"no .ssh":        {make: func(home string) { must(t, os.RemoveAll(home+"/.ssh")) }, looks: 2},
		"misnamed":       {make: func(home string) { must(t, os.Rename(home+"/.ssh/authorized_keys", home+"/.ssh/authorized_key")) }, looks: 4},
		"no home":        {make: func(home string) { must(t, os.RemoveAll(home)) }, looks: 2},
		"group":          {make: func(home string) { must(t, os.Chmod(home, 0o775)) }, looks: 2, repairs: 1},
		"all":            {make: func(home string) { chmod(t, 0o777, home, home+"/.ssh", home+"/.ssh/authorized_keys") }, looks: 2, repairs: 3},
		"closed .ssh":    {make: func(home string) { chmod(t, 0o677, home+"/.ssh"); chmod(t, 0o666, home+"/.ssh/authorized_keys") }, looks: 2, repairs: 2},
		"keys elsewhere": {make: func(home string) { must(t, os.MkdirAll(home+"/etc/ssh/keys", 0o777)) }, likely: "etc/ssh/keys/pi", looks: 2},
		"link in .ssh": {make: func(home string) {
			must(t, os.Mkdir(home+"/dotfiles", 0o777))
			must(t, os.Rename(home+"/.ssh/authorized_keys", home+"/dotfiles/keys"))
			must(t, os.Symlink("../dotfiles/keys", home+"/.ssh/authorized_keys"))
		}, looks: 1},
		"link to .ssh": {make: func(home string) {
			must(t, os.Rename(home+"/.ssh", home+"/dot ssh"))
			must(t, os.Symlink(home+"/dot ssh", home+"/.ssh"))
			chmod(t, 0o775, home+"/dot ssh")
		}, looks: 2, repairs: 1},
	} {
		t.Run(name, func(t *testing.T) {
			home := filepath.Join(top, strings.ReplaceAll(name, ".", ""))
			must(t, os.MkdirAll(home+"/.ssh", 0o755))
			put(t, home+"/.ssh/authorized_keys", "")
			c.make(home)
			filepath.Walk(home, func(p string, _ fs.FileInfo, _ error) error { return os.Lchown(p, uid, uid) })
			var keys []string
			if c.likely != "" {
				keys = []string{filepath.Join(home, c.likely)}
			}
			commands := 0
			shell := shellAs(uid, "sh")
			far := Far(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
				commands++
				return shell(ctx, strings.Replace(command, "exec ", "HOME="+sh.Quote(home)+"; exec ", 1))
			}, keys...)
			judge := func() []strictmodes.Finding {
				t.Helper()
				who, err := far.Account(t.Context())
				must(t, err)
				if who.Home != home || who.UID != uid {
					t.Fatalf("%+v", who)
				}
				findings, err := strictmodes.Judge(t.Context(), far, who, keys, strictmodes.Debian)
				must(t, err)
				want, err := strictmodes.Judge(t.Context(), struct{ strictmodes.Tree }{Local()}, who, keys, strictmodes.Debian)
				must(t, err)
				for i := range findings {
					findings[i].Note = "" // of the file system
				}
				if !slices.Equal(findings, want) && name != "closed .ssh" { // which is not closed to us
					t.Errorf("%+v, and from here %+v", findings, want)
				}
				return findings
			}
			findings := judge()
			if commands != c.looks {
				t.Errorf("%d commands to look, want %d", commands, c.looks)
			}
			repairs := 0
			for range 3 {
				for _, f := range findings {
					if f.Repair == strictmodes.Chmod {
						must(t, far.Chmod(t.Context(), f.Path, f.Stat, f.Mode))
						repairs++
					}
				}
				commands = 0
				if findings = judge(); repairs > 0 && commands > 1+min(len(findings), 1) {
					t.Errorf("%d commands to look again", commands)
				}
			}
			if repairs != c.repairs {
				t.Errorf("%d repairs, want %d", repairs, c.repairs)
			}
		})
	}
}

// A directory service that lists nobody answers by number, here and far away.
func TestUnlistedGroups(t *testing.T) {
	top := realDir(t)
	bin := filepath.Join(top, "bin")
	must(t, os.Mkdir(bin, 0o755))
	must(t, os.WriteFile(filepath.Join(bin, "getent"), []byte(`#!/bin/sh
db=$1
shift
[ "$1" != -- ] || shift
[ $# -gt 0 ] || exec cat "/etc/$db"
for key; do
	case $db:$key in
	passwd:54321) echo 'sam:*:54321:54321::/home/sam:/bin/sh' ;;
	group:54322) echo 'sams:*:54322:sam' ;;
	group:54321) echo 'sam:*:54321:' ;;
	esac
done
`), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	must(t, os.Mkdir(filepath.Join(top, "d"), 0o775))
	seen := Far(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		return shellAs(0, "sh")(ctx, "PATH="+sh.Quote(bin)+":$PATH; "+command)
	})
	_, err := seen.Lstat(t.Context(), filepath.Join(top, "d")) // which brings what is listed
	must(t, err)
	for name, fsys := range map[string]FS{"here": Local(), "far": seen} {
		for _, c := range []struct {
			gid, owner, uid int
			want            bool
		}{
			{54322, 54321, 54321, true},
			{54321, 54321, 54321, false}, // nobody is listed with it
			{54322, 0, 54321, false},
			{54323, 0, 0, false},
			{0, 0, 0, true},
		} {
			if got, err := fsys.PrivateGroup(t.Context(), c.gid, c.owner, c.uid); got != c.want || err != nil {
				t.Errorf("%s: %+v: %v, %v", name, c, got, err)
			}
		}
	}
}

func chmod(t *testing.T, mode fs.FileMode, paths ...string) {
	t.Helper()
	for _, p := range paths {
		must(t, os.Chmod(p, mode))
	}
}

// Somebody swaps the directory of a file with a link to another directory as fast as
// he can: what is there stays as it is, in the ways that work in the directory.
func TestFarFolderRace(t *testing.T) {
	dir := realDir(t)
	victims, home := filepath.Join(dir, "etc"), filepath.Join(dir, "home")
	for _, d := range []string{victims, home, home + "/ssh"} {
		must(t, os.Mkdir(d, 0o755))
	}
	for _, p := range []string{victims + "/f", home + "/ssh/f"} {
		chmod(t, 0o666, put(t, p, ""))
	}
	was := lstat(t, Local(), victims+"/f")
	must(t, os.Symlink(victims, home+"/evil"))
	own, err := os.Open(home + "/ssh/f")
	must(t, err)
	defer own.Close()
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			swap(home+"/ssh", home+"/evil")
			swap(home+"/ssh", home+"/evil")
		}
		done <- n
	}()
	far := Far(with("/usr/bin:/bin", "/bin/sh"))
	hits := 0
	for i := range 30 {
		if err := far.Chmod(t.Context(), home+"/ssh/f", was, 0o644); err == nil {
			hits++
			must(t, own.Chmod(0o666))
		}
		far.Mkdir(t.Context(), fmt.Sprintf("%s/ssh/new%d", home, i), 0o700)
		far.Copy(t.Context(), home+"/ssh/f", was, fmt.Sprintf("%s/ssh/copy%d", home, i), 0o600)
	}
	stop.Store(true)
	swaps := <-done
	if got := lstat(t, Local(), victims+"/f"); got != was {
		t.Errorf("the victim is %+v, was %+v", got, was)
	}
	if got := entries(t, victims); !slices.Equal(got, []string{"f"}) {
		t.Errorf("beside the victim there is %q", got)
	}
	t.Logf("%d swaps, %d repairs", swaps, hits)
	if swaps == 0 || hits == 0 {
		t.Error("no race")
	}
}

package hostfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The test binary is also the process that takes turns with others.
func TestMain(m *testing.M) {
	if path := os.Getenv("HOSTFS_TEST_ADD_LINES_TO"); path != "" {
		if err := addLines(path, "process "+strconv.Itoa(os.Getpid())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// What a writer that takes no turns, such as ssh, adds while we write stays. Who
// never stops is not waited for.
func TestReplaceMeetsOthers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(path, []byte("first\n"), 0o600))
	for _, c := range []struct {
		times int // that another adds a line meanwhile
		want  error
	}{{0, nil}, {1, nil}, {1 << 20, ErrChanged}} {
		asked := 0
		err := Replace(path, 0o600, func(old []byte) ([]byte, error) {
			if asked++; asked <= c.times {
				f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
				must(err)
				_, err = fmt.Fprintf(f, "line %d\n", asked)
				must(errors.Join(err, f.Close()))
			}
			return append(old, "ours\n"...), nil
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%d: %v", c.times, err)
		}
	}
	data, err := os.ReadFile(path)
	must(err)
	if !strings.HasPrefix(string(data), "first\nours\nline 1\nours\nline 1\nline 2\n") || strings.Count(string(data), "ours") != 2 {
		t.Errorf("%q", data)
	}
	if got := names(t, filepath.Dir(path)); got != "known_hosts" {
		t.Errorf("it leaves %s", got)
	}
}

// What another adds while we add stays, in whatever order, and nobody who has the
// file open is left with another one than we write to.
func TestAppend(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "known_hosts")
	add := func(text string) Edit {
		return func(old []byte) ([]byte, error) { return []byte(text), nil }
	}
	if err := Append(path, 0o600, func(old []byte) ([]byte, error) { return nil, nil }); err != nil || names(t, dir) != "" {
		t.Errorf("nothing to add: %v, %s", err, names(t, dir))
	}
	if err := Append(path, 0o600, func(old []byte) ([]byte, error) {
		if old != nil {
			t.Errorf("no file, but %q", old)
		}
		return []byte("first\n"), nil
	}); err != nil {
		t.Fatal(err)
	}
	modeIs(t, path, 0o600)
	other, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := os.Symlink("known_hosts", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{path, filepath.Join(dir, "link")} {
		err := Append(path, 0o600, func(old []byte) ([]byte, error) {
			_, err := other.WriteString("theirs\n")
			return []byte("ours\n"), err
		})
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := other.WriteString("last\n"); err != nil {
		t.Error(err)
	}
	contentIs(t, path, "first\ntheirs\nours\ntheirs\nours\nlast\n")
	refusal := errors.New("no")
	if err := Append(path, 0o600, func([]byte) ([]byte, error) { return []byte("x"), refusal }); err != refusal {
		t.Errorf("edit's error came back as %v", err)
	}
	if err := Append(os.DevNull, 0o600, add("x")); runtime.GOOS != "windows" && !errors.Is(err, ErrNotRegular) {
		t.Errorf("%s: %v", os.DevNull, err)
	}
	if err := Append(filepath.Join(dir, "none", "x"), 0o600, add("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the folder: %v", err)
	}
	if got := names(t, dir); got != "known_hosts link" {
		t.Errorf("left in the folder: %s", got)
	}
}

const linesEach = 10

func addLines(path, name string) error {
	for i := range linesEach {
		err := Replace(path, 0o600, func(old []byte) ([]byte, error) {
			return fmt.Appendf(old, "%s line %d\n", name, i), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// entries are the names in a directory.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range found {
		list = append(list, e.Name())
	}
	return list
}

// names returns what is in a directory, to see that no temporary file is left.
func names(t *testing.T, dir string) string {
	t.Helper()
	return strings.Join(entries(t, dir), " ")
}

func modeIs(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	if st, err := os.Lstat(path); err != nil || runtime.GOOS != "windows" && st.Mode() != want {
		t.Errorf("mode of %s is %v, %v; want %v", path, st.Mode(), err, want)
	}
}

func contentIs(t *testing.T, path, want string) {
	t.Helper()
	if data, err := os.ReadFile(path); err != nil || string(data) != want {
		t.Errorf("%s holds %q, %v; want %q", path, data, err, want)
	}
}

func TestCreateNew(t *testing.T) {
	no := func(string, string) error { return errors.ErrUnsupported }
	for name, ways := range map[string][]publisher{
		"this system": publishers,
		"hard links":  {no, link},
		"in place":    {no, no},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "key")
			for _, mode := range []fs.FileMode{0o600, 0o644, 0o666} { // whatever the umask is
				if err := createNew(path, []byte("one"), mode, ways); err != nil {
					t.Fatal(err)
				}
				modeIs(t, path, mode)
				contentIs(t, path, "one")
				if err := createNew(path, []byte("two"), mode, ways); !errors.Is(err, fs.ErrExist) {
					t.Errorf("over a file: %v", err)
				}
				contentIs(t, path, "one")
				os.Remove(path)
			}
			if err := os.Symlink("elsewhere", path); err != nil {
				t.Fatal(err)
			}
			if err := createNew(path, []byte("two"), 0o600, ways); !errors.Is(err, fs.ErrExist) {
				t.Errorf("over a dangling link: %v", err)
			}
			if got := names(t, dir); got != "key" {
				t.Errorf("left in the folder: %s", got)
			}
		})
	}
	t.Run("somebody is quicker", func(t *testing.T) {
		for name, publish := range map[string]publisher{"own": publishers[0], "link": link, "in place": no} {
			dir := t.TempDir()
			path := filepath.Join(dir, "key")
			err := createNew(path, []byte("ours"), 0o600, []publisher{func(temp, path string) error {
				if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
					t.Fatal(err)
				}
				return publish(temp, path)
			}})
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: %v", name, err)
			}
			contentIs(t, path, "theirs")
			if got := names(t, dir); got != "key" {
				t.Errorf("left in the folder: %s", got)
			}
		}
	})
	err := CreateNew(filepath.Join(t.TempDir(), "none", "key"), nil, 0o600)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "key: ") {
		t.Errorf("without the folder: %v", err)
	}
}

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "known_hosts")
	set := func(s string) func([]byte) ([]byte, error) {
		return func([]byte) ([]byte, error) { return []byte(s), nil }
	}
	err := Replace(path, 0o640, func(old []byte) ([]byte, error) {
		if old != nil {
			t.Errorf("no file, but %q", old)
		}
		return []byte("one\n"), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	modeIs(t, path, 0o640)
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, 0o600, func(old []byte) ([]byte, error) { return append(old, "two\n"...), nil }); err != nil {
		t.Fatal(err)
	}
	contentIs(t, path, "one\ntwo\n")
	modeIs(t, path, 0o604)

	before, _ := os.Stat(path)
	if err := Replace(path, 0o600, func([]byte) ([]byte, error) { return nil, nil }); err != nil {
		t.Error(err)
	}
	refusal := &fs.PathError{Op: "judge", Path: "x", Err: errors.New("no")}
	if err := Replace(path, 0o600, func([]byte) ([]byte, error) { return []byte("x"), refusal }); err != refusal {
		t.Errorf("edit's error came back as %v", err)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) { // its number may be given again
		t.Error("a nil result, or a refusal, changed the file")
	}
	contentIs(t, path, "one\ntwo\n")

	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err = Replace(path, 0o600, func(old []byte) ([]byte, error) {
		if old == nil {
			t.Error("an empty file was shown as none")
		}
		return []byte{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	contentIs(t, path, "")

	// Links: relative, of a link, and to what is not there yet.
	other := t.TempDir()
	for link, target := range map[string]string{
		filepath.Join(dir, "a"):   "b",
		filepath.Join(dir, "b"):   filepath.Join(other, "c"),
		filepath.Join(other, "c"): "./d",
		filepath.Join(dir, "x"):   "y",
		filepath.Join(dir, "y"):   "x",
	} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	if err := Replace(filepath.Join(dir, "a"), 0o600, set("by link")); err != nil {
		t.Fatal(err)
	}
	contentIs(t, filepath.Join(other, "d"), "by link")
	if st, err := os.Lstat(filepath.Join(dir, "a")); err != nil || st.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	if err := Replace(filepath.Join(dir, "x"), 0o600, set("")); err == nil {
		t.Error("a circle of links was taken")
	}
	if err := Replace(os.DevNull, 0o600, set("x")); runtime.GOOS != "windows" && !errors.Is(err, ErrNotRegular) {
		t.Errorf("%s: %v", os.DevNull, err)
	}
	if got := names(t, dir) + ", " + names(t, other); got != "a b known_hosts x y, c d" {
		t.Errorf("left in the folders: %s", got)
	}
}

func TestReplaceTakesTurns(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "known_hosts")
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			if err := addLines(path, fmt.Sprint("goroutine ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		group.Go(func() {
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), "HOSTFS_TEST_ADD_LINES_TO="+path)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	group.Wait()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for line := range bytes.Lines(data) {
		seen[string(line)] = true
	}
	if len(seen) != 16*linesEach || bytes.Count(data, []byte("\n")) != 16*linesEach {
		t.Errorf("%d different lines of %d came", len(seen), 16*linesEach)
	}
	if got := names(t, dir); got != "known_hosts" {
		t.Errorf("left in the folder: %s", got)
	}
}

func TestDiskFull(t *testing.T) {
	dir := mount(t, "tmpfs", "size=64k")
	path := filepath.Join(dir, "known_hosts")
	if err := CreateNew(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	big := make([]byte, 100_000)
	err := Replace(path, 0o600, func([]byte) ([]byte, error) { return big, nil })
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), ".new-") {
		t.Errorf("Replace: %v", err)
	}
	if err := CreateNew(path+"2", big, 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("CreateNew: %v", err)
	}
	if err := Append(path, 0o600, func([]byte) ([]byte, error) { return big, nil }); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Append: %v", err)
	}
	if err := Append(path+"2", 0o600, func([]byte) ([]byte, error) { return big, nil }); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Append to none: %v", err)
	}
	contentIs(t, path+"2", "")
	_ = os.Remove(path + "2")
	contentIs(t, path, "old")
	if got := names(t, dir); got != "known_hosts" {
		t.Errorf("left in the folder: %s", got)
	}
	run(t, "mount", "-o", "remount,ro", dir)
	if err := Append(path, 0o600, func([]byte) ([]byte, error) { return []byte("new"), nil }); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Append on a read-only file system: %v", err)
	}
	if err := Replace(path, 0o600, func([]byte) ([]byte, error) { return []byte("new"), nil }); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Replace on a read-only file system: %v", err)
	}
	if err := CreateNew(path+"2", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("CreateNew on a read-only file system: %v", err)
	}
}

// need skips the test, or fails it where everything is to be tried.
func need(t *testing.T, have bool, what string) {
	t.Helper()
	if !have && os.Getenv("PIKEY_TEST_REQUIRE") == "1" {
		t.Fatal(what)
	}
	if !have {
		t.Skip(what)
	}
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// mount mounts a file system that the test takes away.
func mount(t *testing.T, kind, options string) string {
	t.Helper()
	need(t, os.Geteuid() == 0 && runtime.GOOS == "linux", "only root on Linux can mount")
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", kind, "-o", options, "none", dir).CombinedOutput(); err != nil {
		need(t, false, "mount: "+string(out))
	}
	t.Cleanup(func() { run(t, "umount", dir) })
	return dir
}

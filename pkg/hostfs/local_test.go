package hostfs

import (
	"context"
	"errors"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"pi-key-tools/pkg/strictmodes"
)

func TestHome(t *testing.T) {
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for home, want := range map[string]string{"/home/pi": "/home/pi", "/home//pi/": "/home/pi", "": u.HomeDir, "relative": u.HomeDir} {
		if runtime.GOOS == "windows" && home != "" {
			continue
		}
		got, err := Home(func(string) string { return home })
		if got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", home, got, err, want)
		}
	}
}

// A session's own groups may be of before a change, and sshd does not have those.
func TestGroupsOfDatabase(t *testing.T) {
	u, err := user.Current()
	ok(t, err)
	uid, err := strconv.Atoi(u.Uid)
	g, gerr := user.LookupGroupId(u.Gid)
	if err != nil || gerr != nil || runtime.GOOS == "windows" {
		t.Skip("its groups have no names here")
	}
	names, err := Local().GroupNames(t.Context(), strictmodes.Account{Name: u.Username, UID: uid})
	if err != nil || !slices.Contains(names, g.Name) {
		t.Errorf("%q, %v, without %s", names, err, g.Name)
	}
}

// A pipe that nobody writes to is waited for as long as there is time.
func TestAwait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	began, enough := make(chan bool), errors.New("enough")
	go func() { <-began; cancel(enough) }()
	_, err := Await(ctx, func() (int, error) {
		close(began)
		return r.Read(make([]byte, 1))
	})
	if err != enough {
		t.Errorf("%v", err)
	}
	if n, err := Await(t.Context(), func() (int, error) { return 1, io.ErrUnexpectedEOF }); n != 1 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d, %v", n, err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAtMost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	for most, want := range map[int64]error{9: ErrTooLarge, 10: nil, 11: nil} {
		f, err := os.Open(path)
		ok(t, err)
		n, err := io.Copy(io.Discard, AtMost(f, most))
		f.Close()
		if !errors.Is(err, want) || want == nil && n != 10 {
			t.Errorf("at most %d: %d bytes, %v", most, n, err)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/sshtest"
)

// A card has no server that could refuse the key, so what it would refuse must
// be said; and what is said of the place of the file must reach a person.
func TestCard(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("--root needs Linux")
	}
	for _, tt := range []struct {
		name   string
		home   fs.FileMode
		sshd   string // sshd_config of the card
		args   []string
		status int
		out    []string // "VERDICT CAUSE" of each record
		said   string   // on standard error
	}{
		{name: "good", home: 0o755, out: []string{"done key-added"}},
		{name: "writable", home: 0o777, status: 1, out: []string{"done key-added", "fail home-writable"}, said: "hint: pikeyfix --root DIR -u pi\n"},
		{name: "a dry run", home: 0o777, args: []string{"-n"}, status: 1, out: []string{"todo key-added", "fail home-writable"}},
		{name: "no file", home: 0o755, sshd: "AuthorizedKeysFile none\n", status: 1, out: []string{"done key-added", "fail keys-file-elsewhere"}, said: "AuthorizedKeysFile none"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			home := filepath.Join(dir, "home")
			for path, text := range map[string]string{
				"etc/passwd":          fmt.Sprintf("pi:x:%d:%d::/home:/bin/sh\n", os.Getuid(), os.Getgid()),
				"etc/group":           fmt.Sprintf("pi:x:%d:\n", os.Getgid()),
				"etc/ssh/sshd_config": tt.sshd,
			} {
				path = filepath.Join(dir, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Mkdir(home, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(home, tt.home); err != nil { // whatever the umask
				t.Fatal(err)
			}
			key := sshtest.NewKey(t, t.TempDir(), "ed25519").Line + "\n"

			var out, errOut bytes.Buffer
			status := cli.Run(&cli.Env{Name: "pikeycopy", Args: append(tt.args, "-i", "-", "--root", dir, "pi"),
				Stdin: strings.NewReader(key), Stdout: &out, Stderr: &errOut, Getenv: func(string) string { return "" }}, run)
			var got []string
			for line := range strings.Lines(out.String()) {
				got = append(got, strings.Join(strings.Split(line, "\t")[1:3], " "))
			}
			if status != tt.status || strings.Join(got, ",") != strings.Join(tt.out, ",") {
				t.Errorf("status %d, want %d; records %q, want %q; it said:\n%s", status, tt.status, got, tt.out, &errOut)
			}
			if said := strings.ReplaceAll(errOut.String(), dir, "DIR"); !strings.Contains(said, tt.said) {
				t.Errorf("it said %q, and not %q", said, tt.said)
			}
		})
	}
}

// Keys that come too late, when the run has ended, go nowhere: what is read of them
// is not written to by then. The race detector tells.
func TestLateInput(t *testing.T) {
	key := sshtest.NewKey(t, t.TempDir(), "ed25519").Line + "\n"
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		late := iotest.DataErrReader(strings.NewReader(key))
		env := &cli.Env{Stdin: reader(func(b []byte) (int, error) {
			cancel()
			time.Sleep(time.Second) // until everybody else waits
			return late.Read(b)
		})}
		input, err := mode{names: []string{"-"}}.read(ctx, env)
		if !errors.Is(err, context.Canceled) || len(input.Keys) > 0 {
			t.Errorf("%v, %v", input, err)
		}
		time.Sleep(2 * time.Second) // of the bubble's own clock, by when they have come
		synctest.Wait()
	})
}

type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

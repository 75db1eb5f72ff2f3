//go:build unix

package secret

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pi-key-tools/pkg/sshtest"
)

// script writes an askpass program.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "askpass")
	if err := sshtest.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAskpass(t *testing.T) {
	t.Setenv("SECRET_TEST_WORD", "inherited")
	for _, c := range []struct {
		body, want string
		err        string // "" for none
	}{
		{`echo hunter2`, "hunter2", ""},
		{`printf hunter2`, "hunter2", ""},
		{`printf 'hunter2\r\nmore\n'`, "hunter2", ""},
		{`printf '%s' "$#:$1"`, `1:pi@pi4\x1b[2J's password: `, ""},
		{`cat; echo "nothing read"`, "nothing read", ""},
		{`echo "$SECRET_TEST_WORD"`, "inherited", ""},
		{`echo`, "", ""},
		{`:`, "", ""},
		{`exec 2>/dev/null; echo hunter2; yes | head -c 3000000`, "hunter2", ""},
		{`yes hunter2 | tr -d '\n' | head -c 3000000`, "", "longer than 64 KiB"},
		{`echo hunter2; exit 1`, "", "exit status 1"},
		{`echo hunter2; kill -9 $$`, "", "killed"},
	} {
		for _, share := range []bool{false, true} {
			program := script(t, c.body)
			env := map[string]string{"SSH_ASKPASS": program, "SSH_ASKPASS_REQUIRE": "Force"}
			s := &Source{Getenv: func(k string) string { return env[k] }}
			var got []byte
			var err error
			if share {
				got, err = askpass(t.Context(), program, `pi@pi4\x1b[2J's password: `, share)
			} else {
				got, err = s.Get(t.Context(), "pi@pi4\x1b[2J's password: ")
			}
			switch {
			case c.err == "" && (err != nil || string(got) != c.want):
				t.Errorf("%s: got %q, %v", c.body, got, err)
			case c.err != "" && (err == nil || got != nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), program)):
				t.Errorf("%s: got %.20q, %v; want the program and %q", c.body, got, err, c.err)
			case c.err != "" && strings.Contains(err.Error(), "hunter2"):
				t.Errorf("the error tells the secret: %v", err)
			case c.err == "exit status 1" && !errors.Is(err, ErrDeclined):
				t.Errorf("%v is not ErrDeclined", err)
			}
		}
	}
	for _, program := range []string{"/missing/askpass", "no-such-askpass"} {
		if _, err := askpass(t.Context(), program, "", false); err == nil || !strings.Contains(err.Error(), program) {
			t.Errorf("%s: %v", program, err)
		}
	}
	if _, err := os.Stat(defaultAskpass); err != nil {
		if _, err := askpass(t.Context(), "", "", false); err != ErrNobody {
			t.Errorf("no askpass program at all: %v", err)
		}
	}
}

// A program that hangs ends with the context, and with all that it started.
func TestAskpassCancelled(t *testing.T) {
	for _, c := range []struct {
		body  string
		share bool
		pids  int // that are gone then
	}{
		{`echo $$ >"$PIDS.part"; sleep 1000 & echo $! >>"$PIDS.part"; mv "$PIDS.part" "$PIDS"; wait`, false, 2},
		{`trap '' TERM; echo $$ >"$PIDS.part"; mv "$PIDS.part" "$PIDS"; while :; do sleep 1; done`, false, 1},
		// In our own group only the program itself can be ended.
		{`echo $$ >"$PIDS.part"; mv "$PIDS.part" "$PIDS"; exec sleep 1000`, true, 1},
		{`trap '' TERM; echo $$ >"$PIDS.part"; mv "$PIDS.part" "$PIDS"; exec sleep 3`, true, 1},
	} {
		pids := filepath.Join(t.TempDir(), "pids")
		t.Setenv("PIDS", pids)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for ctx.Err() == nil {
				if _, err := os.Stat(pids); err == nil {
					cancel()
				}
				time.Sleep(5 * time.Millisecond)
			}
		}()
		start := time.Now()
		got, err := askpass(ctx, script(t, c.body), "", c.share)
		cancel()
		if got != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %q, %v", c.body, got, err)
		}
		if took := time.Since(start); took > grace+2*time.Second {
			t.Errorf("%s: took %v", c.body, took)
		}
		data, err := os.ReadFile(pids)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(strings.Fields(string(data))); n != c.pids {
			t.Fatalf("%s: pids %q", c.body, data)
		}
		for word := range strings.FieldsSeq(string(data)) {
			var pid int
			if _, err := fmt.Sscan(word, &pid); err != nil {
				t.Fatal(err)
			}
			if !sshtest.Gone(pid) {
				t.Errorf("%s: process %d is left", c.body, pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

func TestFIFO(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil { // a pipe keeps nothing for others
		t.Fatal(err)
	}
	s := &Source{File: path}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got, err := s.Get(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with no writer: %q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("hunter2\n"), 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got, err := s.Get(t.Context(), ""); err != nil || string(got) != "hunter2" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if _, err := ReadList(ctx, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a list with no writer: %v", err)
	}
}

package logfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pi-key-tools/pkg/sshdlog"
)

const line = "Nov 22 07:23:29 pi sshd[1]: User pi from 192.0.2.1 not allowed because listed in DenyUsers\n"

// writeLog writes a log of n lines.
func writeLog(t *testing.T, n int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, bytes.Repeat([]byte(line), n), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// count returns how many refusals a log tells of.
func count(t *testing.T, r io.Reader) (n int, stats sshdlog.Stats) {
	t.Helper()
	var c sshdlog.Counter
	stats, err := c.AddLog(r, sshdlog.Refusal)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range c.All() {
		n += e.Times
	}
	return n, stats
}

func TestOpen(t *testing.T) {
	path := writeLog(t, 1000)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, "user é 🔑 \ufffd\n"...)
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write(text)
	_ = w.Close()
	wide := func(order binary.AppendByteOrder) (b []byte) {
		for _, u := range utf16.Encode([]rune("\ufeff" + string(text))) {
			b = order.AppendUint16(b, u)
		}
		return b
	}
	for name, stored := range map[string][]byte{"plain": text, "packed": gz.Bytes(), "short": []byte("x"), "empty": {},
		"UTF-8": append([]byte("\ufeff"), text...), "UTF-16": append(wide(binary.LittleEndian), 'x'), "the other UTF-16": wide(binary.BigEndian)} {
		want := text
		if name == "short" || name == "empty" {
			want = stored
		}
		p := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(p, stored, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Open(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v, not %d", name, len(got), err, len(want))
		}
		f, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		if r, err = Text(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, open: %d bytes, %v, not %d", name, len(got), err, len(want))
		}
		_ = f.Close()
		in, out, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = out.Write(stored)
			_ = out.Close()
		}()
		if r, err = Text(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s, by a pipe: %d bytes, %v, not %d", name, len(got), err, len(want))
		}
		_ = in.Close()
	}
	r, err := Open(t.Context(), filepath.Join(t.TempDir(), "missing"))
	if err == nil {
		_, err = io.ReadAll(r)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// A packed log may begin where another reader has stopped, and a plain one behind
// what looks packed.
func TestTextFromMagic(t *testing.T) {
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = io.WriteString(w, line)
	_ = w.Close()
	for name, stored := range map[string]string{"packed": "x\n" + gz.String(), "plain": "\x1f\x8b" + line, "read": "x\n"} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(stored), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.Seek(2, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		r, err := Text(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		want := line
		if name == "read" {
			want = ""
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// What was read of a file before is not read again.
func TestTextFrom(t *testing.T) {
	const n = 40_000
	f, err := os.OpenFile(writeLog(t, n), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte("x"), 10*len(line)-1), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(int64(10*len(line)), io.SeekStart); err != nil {
		t.Fatal(err)
	}
	r, err := Text(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got, stats := count(t, r); got != n-10 || stats.Lines != n-10 {
		t.Errorf("%d of %d, %+v", got, n-10, stats)
	}
}

// Reading ends with the run: that of a file, and of a pipe to which nobody writes.
func TestEnd(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, stop := context.WithCancelCause(t.Context())
	r, err := Open(ctx, writeLog(t, 40_000))
	if err != nil {
		t.Fatal(err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	time.AfterFunc(10*time.Millisecond, func() { stop(stopped) })
	pipe, err := Text(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(pipe); !errors.Is(err, stopped) {
		t.Errorf("a pipe: %v", err)
	}
	if _, err := new(sshdlog.Counter).AddLog(r, sshdlog.Refusal); !errors.Is(err, stopped) {
		t.Errorf("a file: %v", err)
	}
	if _, _, err := r.(sshdlog.Mapper).Map(0, 1); !errors.Is(err, stopped) {
		t.Errorf("a part of a file: %v", err)
	}
}

// A mapped log meets with something as soon as it is mapped.
type mapped struct {
	sshdlog.Mapper
	then func(end int64)
}

func (m *mapped) Map(off int64, size int) ([]byte, func(), error) {
	part, unmap, err := m.Mapper.Map(off, size)
	m.then(off + int64(size))
	return part, unmap, err
}

func openMapped(t *testing.T, path string, then func(end int64)) *mapped {
	t.Helper()
	r, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	m, ok := r.(sshdlog.Mapper)
	if !ok {
		t.Fatalf("%T is not mapped", r)
	}
	return &mapped{m, then}
}

// A log is cut short while it is read, as logrotate does with copytruncate. What
// is left of it is counted.
func TestCutShort(t *testing.T) {
	const n = 200_000
	for _, left := range []int64{0, 100, 2 << 20, 9 << 20, 9<<20 + 4096, 9<<20 + 5000} {
		path := writeLog(t, n)
		m := openMapped(t, path, func(end int64) {
			if end >= left+1<<20 {
				if err := os.Truncate(path, left); err != nil {
					t.Error(err)
				}
			}
		})
		got, stats := count(t, m)
		// What was mapped before is counted.
		if got < int(left)/len(line) || got >= n || stats.Unknown+stats.Foreign > 1 {
			t.Errorf("cut to %d: %d, %+v", left, got, stats)
		}
	}
}

// What is written to a log while it is read is counted too.
func TestGrows(t *testing.T) {
	const n = 100_000
	path := writeLog(t, n)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	more := 0
	m := openMapped(t, path, func(int64) {
		if _, err := fmt.Fprint(f, line); err != nil {
			t.Error(err)
		}
		more++
	})
	if got, stats := count(t, m); got != n+more || stats.Lines != n+more || more < 3 {
		t.Errorf("%d, %+v, after %d and %d", got, stats, n, more)
	}
}

// Whatever becomes of the bytes that are looked at, the reading ends.
func TestChanges(t *testing.T) {
	path := writeLog(t, 20_000)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	done, ended := make(chan bool), make(chan bool)
	go func() {
		defer close(ended)
		rnd := rand.New(rand.NewPCG(1, 2))
		for {
			select {
			case <-done:
				return
			default:
			}
			junk := strings.Repeat("\n\x00]: [sshd"[rnd.IntN(8):], 1+rnd.IntN(20))
			at := rnd.IntN(len(text) - len(junk))
			_, _ = f.WriteAt([]byte(junk), int64(at))
			_, _ = f.WriteAt(text[at:at+len(junk)], int64(at)) // or nothing would be left in the end
		}
	}()
	for range 5 {
		m := openMapped(t, path, func(int64) {})
		if got, _ := count(t, m); got == 0 {
			t.Error("nothing is left of it")
		}
	}
	close(done)
	<-ended
}

// Package bounded reads no further than a bound, and waits no longer than a
// context lasts: what the user names may be a pipe that nobody writes to, or
// /dev/zero.
package bounded

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
)

// ErrTooLarge means that something is larger than is read of its kind.
var ErrTooLarge = errors.New("it is too large")

// MaxFile is how much is read, in bytes, of a file that the user names: more than
// 100,000 long RSA keys.
const MaxFile = 128 << 20

// Await returns what do returns, or the cause of the end of ctx if that comes
// first: to open or read a pipe, for one, can take for ever and cannot be called
// off. do goes on then, and is not to write to what the caller looks at.
func Await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := context.Cause(ctx); err != nil {
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// Open is os.Open for a file that may be a pipe.
func Open(ctx context.Context, path string) (*os.File, error) {
	return Await(ctx, func() (*os.File, error) { return os.Open(path) })
}

// ReadFile is os.ReadFile for a file that may be anything. The error is
// ErrTooLarge for /dev/zero and for what is larger than MaxFile.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadOpen(f)
}

// ReadOpen is ReadFile for an open file.
func ReadOpen(f *os.File) ([]byte, error) {
	data, err := ReadAll(f, most(f))
	if errors.Is(err, ErrTooLarge) {
		return nil, tooLarge(f)
	}
	return data, err
}

// File returns what reads an open file no further than ReadOpen does.
func File(f *os.File) io.Reader { return &reader{f, most(f), tooLarge(f)} }

func tooLarge(f *os.File) error { return &fs.PathError{Op: "read", Path: f.Name(), Err: ErrTooLarge} }

func most(f *os.File) int64 {
	if info, err := f.Stat(); err == nil && info.Mode()&fs.ModeDevice != 0 { // ends at once, as /dev/null, or never
		return 64 << 10
	}
	return MaxFile
}

// ReadAll reads to the end, which is no further than most bytes away: else the
// error is ErrTooLarge.
func ReadAll(r io.Reader, most int64) ([]byte, error) {
	var data bytes.Buffer
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil { // whose size may be another by now, or none at all
			if info.Size() > most {
				return nil, ErrTooLarge
			}
			data.Grow(int(max(info.Size(), 0)) + bytes.MinRead)
		}
	}
	n, err := data.ReadFrom(io.LimitReader(r, most+1))
	if err == nil && n > most {
		err = ErrTooLarge
	}
	return data.Bytes(), err
}

// Reader returns what reads r no further than ReadAll does.
func Reader(r io.Reader, most int64) io.Reader { return &reader{r, most, ErrTooLarge} }

type reader struct {
	r        io.Reader // not embedded: io.Copy would find a file's WriteTo, which knows no bound
	left     int64
	tooLarge error
}

func (b *reader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, b.tooLarge
	}
	return n, err
}

// Package logfile reads the text of a log: from a file, which logrotate may have
// packed and PowerShell has written as UTF-16, or from a pipe, whoever writes to it
// and however slowly.
package logfile

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"syscall"
	"unicode/utf16"
	"unicode/utf8"

	"pi-key-tools/pkg/bounded"
)

// Open returns the text of the log at a path. A pipe with a name is opened by the
// first Read, since that waits until somebody writes to it. Reading ends with
// the error of ctx when that is done.
func Open(ctx context.Context, path string) (io.Reader, error) {
	// Without waiting: it may have become a pipe since it was looked at.
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			return nil, err
		}
		if whole := newFile(ctx, f); whole != nil {
			return whole, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return Text(ctx, &unopened{path: path})
}

// Text returns the text of the log that r reads. Reading ends with the error of
// ctx when that is done, also while r waits for something to read.
func Text(ctx context.Context, r io.Reader) (io.Reader, error) {
	if f, ok := r.(*os.File); ok {
		if whole := newFile(ctx, f); whole != nil {
			return whole, nil
		}
	}
	b := bufio.NewReader(&patient{ctx: ctx, r: r})
	magic, _ := b.Peek(longestMark) // what is short is as it is
	switch markOf(magic) {
	case packed:
		return gzip.NewReader(b)
	case utf8Mark:
		_, err := b.Discard(len(utf8Mark))
		return b, err
	case littleMark:
		return &wide{r: b, order: binary.LittleEndian}, nil
	case bigMark:
		return &wide{r: b, order: binary.BigEndian}, nil
	}
	return b, nil
}

// How a file starts that is packed by gzip, or whose text has a byte order mark.
const (
	packed      = "\x1f\x8b"
	utf8Mark    = "\xef\xbb\xbf"
	littleMark  = "\xff\xfe"
	bigMark     = "\xfe\xff"
	longestMark = len(utf8Mark)
)

// markOf returns the one that the bytes start with, or "".
func markOf(start []byte) string {
	for _, mark := range []string{packed, utf8Mark, littleMark, bigMark} {
		if bytes.HasPrefix(start, []byte(mark)) {
			return mark
		}
	}
	return ""
}

// A wide reader yields UTF-16 as UTF-8.
type wide struct {
	r     *bufio.Reader
	order binary.ByteOrder
	text  []byte // what is read, but not taken
}

func (w *wide) Read(b []byte) (int, error) {
	for len(w.text) == 0 {
		r, err := w.unit()
		if err != nil {
			return 0, err
		}
		if utf16.IsSurrogate(r) {
			second, err := w.unit()
			if err != nil {
				return 0, err
			}
			r = utf16.DecodeRune(r, second)
		}
		if r != '\ufeff' {
			w.text = utf8.AppendRune(w.text, r)
		}
	}
	n := copy(b, w.text)
	w.text = w.text[n:]
	return n, nil
}

// unit reads two bytes; one at the end is none.
func (w *wide) unit() (rune, error) {
	var b [2]byte
	if _, err := io.ReadFull(w.r, b[:]); errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, io.EOF
	} else if err != nil {
		return 0, err
	}
	return rune(w.order.Uint16(b[:])), nil
}

// A file is a regular one that is read as it is: an [sshdlog.Mapper].
type file struct {
	ctx  context.Context
	f    *os.File
	from int64 // where it is read from
	size int64
	read int64
}

// newFile returns nil for what is no such file, and for those of /proc, which
// have no size.
func newFile(ctx context.Context, f *os.File) *file {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	from, err := f.Seek(0, io.SeekCurrent)
	if err != nil || info.Size() <= from {
		return nil
	}
	magic := make([]byte, longestMark)
	if n, _ := f.ReadAt(magic, from); markOf(magic[:n]) != "" {
		return nil
	}
	return &file{ctx: ctx, f: f, from: from, size: info.Size() - from}
}

func (f *file) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.read)
	f.read += int64(n)
	return n, err
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	if err := context.Cause(f.ctx); err != nil {
		return 0, err
	}
	return f.f.ReadAt(b, f.from+off)
}

func (f *file) Size() int64 { return f.size }

func (f *file) Map(off int64, size int) (part []byte, unmap func(), err error) {
	if err := context.Cause(f.ctx); err != nil {
		return nil, nil, err
	}
	return mapPart(f.f, f.from+off, size)
}

// An unopened file is opened by who first reads it.
type unopened struct {
	path string
	f    *os.File
}

func (u *unopened) Read(b []byte) (n int, err error) {
	if u.f == nil {
		if u.f, err = os.Open(u.path); err != nil {
			return 0, err
		}
	}
	return u.f.Read(b)
}

// A patient reader waits for data no longer than its context lasts.
type patient struct {
	ctx context.Context
	r   io.Reader
	own []byte // what is read into: a read that is given up may write to it later

	wide bool // it was widened
}

func (p *patient) Read(b []byte) (int, error) {
	if err := context.Cause(p.ctx); err != nil {
		return 0, err
	}
	if u, ok := p.r.(*unopened); ok && u.f != nil {
		p.r = u.f
	}
	if f, ok := p.r.(*os.File); ok {
		if !p.wide {
			widen(f)
			p.wide = true
		}
		for {
			yes, known := ready(f)
			if yes {
				return f.Read(b)
			}
			if !known {
				break
			}
			if err := context.Cause(p.ctx); err != nil {
				return 0, err
			}
		}
	}
	if len(p.own) < len(b) {
		p.own = make([]byte, len(b))
	}
	n, err := bounded.Await(p.ctx, func() (int, error) { return p.r.Read(p.own[:len(b)]) })
	return copy(b, p.own[:n]), err
}

//go:build unix

package sshdlog

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
)

// A torn log is a Mapper whose file is cut short, or cannot be read, once it is
// mapped: looking at what is mapped faults, at the start of each part at once, or
// all over as soon as the next part is mapped.
type torn struct {
	bytes.Reader // what is left of it
	log          []byte
	later        bool
	err          error // of reading the start of what is left

	mu   sync.Mutex
	last []byte // mapped; nil if it is given back
}

func (m *torn) Size() int64 { return int64(len(m.log)) }

func (m *torn) ReadAt(b []byte, off int64) (int, error) {
	if m.err != nil && off == 0 {
		return 0, m.err
	}
	return m.Reader.ReadAt(b, off)
}

func (m *torn) Map(off int64, size int) (part []byte, unmap func(), err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	part, err = syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, nil, err
	}
	copy(part, m.log[off:])
	gone := part[:os.Getpagesize()]
	if m.later {
		gone, m.last = m.last, part
	}
	if len(gone) > 0 {
		err = syscall.Mprotect(gone, syscall.PROT_NONE)
	}
	return part, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.last) > 0 && &part[0] == &m.last[0] {
			m.last = nil
		}
		_ = syscall.Munmap(part)
	}, err
}

// What faults is read instead, as far as it is there.
func TestAddLogTorn(t *testing.T) {
	defer func(size int) { firstWindow = size }(firstWindow)
	firstWindow = 1 << 16
	log := mixed(messagesOf(t), rand.New(rand.NewPCG(3, 4)), 8000)
	for _, left := range []int{0, 1, 1 << 16, len(log) / 2, len(log)} {
		if n := sameFrom(t, log[:left], Refusal, &torn{Reader: *bytes.NewReader(log[:left]), log: log}); n < left/2000 {
			t.Errorf("only %d events of %d bytes", n, left)
		}
	}
	failed := errors.New("failed")
	if _, err := new(Counter).AddLog(&torn{Reader: *bytes.NewReader(log), log: log, err: failed}, Refusal); !errors.Is(err, failed) {
		t.Errorf("a disk that fails: %v", err)
	}
	for range 3 {
		stats, err := new(Counter).AddLog(&torn{Reader: *bytes.NewReader(log), log: log, later: true}, Refusal)
		if err != nil || stats.Lines != bytes.Count(log, []byte("\n")) {
			t.Errorf("torn later: %+v, %v", stats, err)
		}
	}
}

// A line is read before it goes.
func TestTextStays(t *testing.T) {
	const line = "Nov 22 07:23:29 pi sshd[1]: Invalid user u from 192.0.2.1 port 1"
	part, unmap, err := (&torn{log: []byte(line + "\n"), later: true}).Map(0, os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	defer unmap()
	p, m := &piece{buf: part, to: len(line) + 1, unmap: unmap}, merger{}
	text := m.text(p, mark{})
	if err := syscall.Mprotect(part, syscall.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	if got := string(text.msg); got != "Invalid user u from 192.0.2.1 port 1" {
		t.Errorf("%q", got)
	}
	if text := m.text(p, mark{}); len(text.msg) > 0 {
		t.Errorf("what is not there says %q", text.msg)
	}
}

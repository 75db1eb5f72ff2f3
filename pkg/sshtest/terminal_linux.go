package sshtest

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A Terminal is a pseudo-terminal, with what a person at it sees and does.
type Terminal struct {
	// Slave is the terminal of a process. It is held open here too, so that its
	// state can be inspected.
	Slave *os.File

	t    testing.TB
	tty  *os.File // the other end
	mu   sync.Mutex
	seen []byte
}

// OpenTerminal makes a terminal of 24 lines and that many columns, or skips the
// test where there are none. The test ends it.
func OpenTerminal(t testing.TB, columns uint16) *Terminal {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	x := &Terminal{t: t, tty: os.NewFile(uintptr(fd), "ptmx")}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	x.Slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Slave.Close(); x.tty.Close() })
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := x.tty.Read(buf)
			if err != nil {
				return
			}
			x.mu.Lock()
			x.seen = append(x.seen, buf[:n]...)
			x.mu.Unlock()
		}
	}()
	return x
}

// Seen returns all that was written to the terminal so far.
func (x *Terminal) Seen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return string(x.seen)
}

// Sees waits until the text has been written to it n times.
func (x *Terminal) Sees(text string, n int) {
	x.t.Helper()
	for range 500 {
		if strings.Count(x.Seen(), text) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	x.t.Fatalf("the screen shows %q, not %q %d times", x.Seen(), text, n)
}

// Types types the text.
func (x *Terminal) Types(text string) {
	x.t.Helper()
	if _, err := x.tty.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

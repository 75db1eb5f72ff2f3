package session

import (
	"bufio"
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"
)

// versionLine finds "SSH-…" among the server's first lines (RFC 4253 section
// 4.2 lets others come before it).
func versionLine(start []byte) string {
	for line := range bytes.Lines(start) {
		if bytes.HasPrefix(line, []byte("SSH-")) && bytes.HasSuffix(line, []byte("\n")) {
			return string(bytes.TrimRight(line, "\r\n"))
		}
	}
	return ""
}

// A sniffer keeps the first bytes read: what a server says before its version,
// such as "Exceeded MaxStartups", is thrown away by x/crypto, and so is its
// signature of the key exchange.
type sniffer struct {
	net.Conn
	in    *bufio.Reader // of Conn: x/crypto reads the version a byte at a time
	spoke func()        // called when the version is there

	mu        sync.Mutex
	versioned bool   // it is there, and of SSH 2
	head      []byte // no more than maxClear; than maxStart, once clear has been called
	keyed     bool   // clear has been called
	err       error
	wrote     int    // how often
	held      []byte // our NEWKEYS; empty once they are sent
}

const (
	maxStart = 4096 // of Report.Start
	// maxClear is enough for two packets of the largest size that RFC 4253
	// section 6.1 has everybody take: KEXINIT, and the reply.
	maxClear = 2*35000 + maxStart
)

// Write holds our NEWKEYS back until x/crypto writes more, if the server's have
// come: it waits for nothing before it asks for the authentication. That is one
// packet on the network for two, and wakes the server once.
func (s *sniffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.wrote++
	held := s.held
	if payload, rest, ok := nextPacket(b); held == nil && ok && len(rest) == 0 && payload[0] == msgNewKeys && endsInNewKeys(inClear(s.head)) {
		s.held = bytes.Clone(b)
		s.mu.Unlock()
		return len(b), nil
	}
	s.held = held[:0]
	s.mu.Unlock()
	if len(held) == 0 {
		return s.Conn.Write(b)
	}
	n, err := s.Conn.Write(append(held, b...))
	return max(n-len(held), 0), err
}

func (s *sniffer) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrote
}

func newSniffer(conn net.Conn, spoke func()) *sniffer {
	// A small buffer: reads that are larger pass it by. All of what is kept of most
	// servers has room in head.
	return &sniffer{Conn: conn, in: bufio.NewReaderSize(conn, 256), head: make([]byte, 0, 2048), spoke: spoke}
}

func (s *sniffer) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keyed {
		early := !s.versioned && len(s.head) < maxStart
		s.head = append(s.head, b[:min(n, maxClear-len(s.head))]...)
		if early && bytes.IndexByte(b[:n], '\n') >= 0 {
			version := versionLine(s.head)
			switch {
			case version == "":
			case !strings.HasPrefix(version, "SSH-2.0-") && !strings.HasPrefix(version, "SSH-1.99-"):
				return 0, ErrNotSSH2 // x/crypto would talk to it, and wait
			default:
				s.versioned = true
				s.spoke()
			}
		}
	}
	if err != nil {
		s.err = err
	}
	return n, err
}

func (s *sniffer) start() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.head), maxStart)
	return s.head[:n:n] // to which nothing is written any more
}

// clear returns what was read so far, once: no more is kept from then on.
func (s *sniffer) clear() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := s.head
	if s.keyed = true; len(head) > maxStart {
		s.head = slices.Clone(head[:maxStart])
	}
	return head
}

// lost returns what has ended the reading: io.EOF if the peer has hung up.
func (s *sniffer) lost() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

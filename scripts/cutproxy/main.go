// Command cutproxy is for scripts/torture: it passes TCP connections on to a
// server, and cuts them all when a number of bytes has gone by.
//
//	cutproxy SERVER up|down BYTES
//
// prints its address, counts the bytes of all connections together that go to
// the server (up) or come from it (down), and resets every connection, new
// ones too, as soon as exactly BYTES have been passed on. When its standard
// input ends, it prints how many there were and ends itself.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cutproxy:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: cutproxy SERVER up|down BYTES")
	}
	left, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	p := &proxy{left: left}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", args[0])
			if err != nil {
				client.Close()
				continue
			}
			go p.pass(server, client, args[1] == "up")
			go p.pass(client, server, args[1] == "down")
		}
	}()
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err = fmt.Println(p.passed)
	return err
}

type proxy struct {
	mu     sync.Mutex
	left   int
	passed int
	conns  []net.Conn
}

// pass copies one direction, and cuts both when the bytes that count are over.
func (p *proxy) pass(to, from net.Conn, counts bool) {
	defer to.Close()
	p.mu.Lock()
	p.conns = append(p.conns, from)
	p.mu.Unlock()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		if counts {
			if p.left >= 0 {
				n = min(n, p.left-p.passed)
			}
			p.passed += n
		}
		_, werr := to.Write(buf[:n])
		if p.passed == p.left {
			for _, c := range p.conns {
				c.(*net.TCPConn).SetLinger(0) // a reset, as of a cable that is pulled
				c.Close()
			}
		}
		p.mu.Unlock()
		if err != nil || werr != nil {
			return
		}
	}
}

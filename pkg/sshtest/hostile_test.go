package sshtest

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Each way is met by a client that would log in and run a command, and gives
// up after a moment.
func TestHostile(t *testing.T) {
	const hangs = "i/o timeout"
	const closed = "EOF or reset"
	tests := map[Hostile]struct {
		login string // what the error of the login holds; "" for none
		run   string // the same of the command
		bytes string // what the port says first
	}{
		Silent:              {login: hangs},
		ClosesAtOnce:        {login: closed},
		MaxStartups:         {login: "EOF", bytes: "Exceeded MaxStartups\r\n"},
		Penalised:           {login: "EOF", bytes: "Not allowed at this time\r\n"},
		HTTP:                {login: "EOF", bytes: "HTTP/1.1 400 Bad Request\r\n"},
		EndlessLines:        {login: "ssh: ", bytes: "this is no version line\r\nthis is"},
		Drips:               {login: hangs, bytes: "S"},
		GarbageAfterVersion: {login: "ssh: ", bytes: Bookworm + "\r\n\xff\xff"},
		HangsInKex:          {login: hangs, bytes: Bookworm + "\r\n\x00\x00"},
		ClosesAfterKex:      {login: closed, bytes: Bookworm},
		HangsInAuth:         {login: hangs, bytes: Bookworm},
		BannerEscapes:       {login: "unable to authenticate", bytes: Bookworm},
		AnyoneLogsIn:        {bytes: Bookworm},
		ExecFloods:          {run: hangs, bytes: Bookworm},
		ExecHangs:           {run: hangs, bytes: Bookworm},
		ExecForgets:         {bytes: Bookworm},
		ExecEscapes:         {run: "status 1", bytes: Bookworm},
	}
	key := NewKey(t, t.TempDir(), "ed25519").Signer
	for _, way := range Hostiles() {
		tt, ok := tests[way]
		if !ok {
			t.Errorf("%s is not tried", way)
			continue
		}
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			server := StartHostile(t, way)
			banner := ""
			config := &ssh.ClientConfig{
				User:            "pi",
				HostKeyCallback: ssh.FixedHostKey(server.HostKeys[0]),
				BannerCallback:  func(s string) error { banner = s; return nil },
			}
			if way != AnyoneLogsIn {
				config.Auth = []ssh.AuthMethod{ssh.PublicKeys(key)}
			}
			dial := func(limit time.Duration) net.Conn {
				conn, err := net.Dial("tcp", server.Addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				conn.SetDeadline(time.Now().Add(limit))
				return conn
			}

			conn := dial(5 * time.Second)
			io.WriteString(conn, "SSH-2.0-test\r\n")
			first := make([]byte, len(tt.bytes))
			if n, err := io.ReadFull(conn, first); string(first[:n]) != tt.bytes {
				t.Errorf("the port says %q, %v, want %q", first[:n], err, tt.bytes)
			}

			moment := 5 * time.Second
			switch {
			case tt.login == hangs:
				moment = 300 * time.Millisecond
			case tt.run == hangs:
				moment = time.Second
			}
			client, channels, requests, err := ssh.NewClientConn(dial(moment), server.Addr, config)
			if tt.login == closed && (holds(err, "EOF") || holds(err, "reset by peer")) {
				return
			}
			if !holds(err, tt.login) {
				t.Fatalf("logging in: %v, want %q", err, tt.login)
			}
			if want := map[bool]string{true: HostileText}[way == BannerEscapes]; banner != want {
				t.Errorf("the banner is %q, want %q", banner, want)
			}
			if err != nil {
				return
			}
			session, err := ssh.NewClient(client, channels, requests).NewSession()
			if err != nil {
				t.Fatal(err)
			}
			var out, errout strings.Builder
			session.Stdout, session.Stderr = &out, &errout
			start := time.Now()
			err = session.Run("true")
			if tt.run == hangs {
				// x/crypto does not hand on why the connection ended.
				if err == nil || time.Since(start) < 500*time.Millisecond {
					t.Errorf("the command ends after %v: %v", time.Since(start), err)
				}
			} else if !holds(err, tt.run) {
				t.Errorf("running a command: %v, want %q", err, tt.run)
			}
			switch way {
			case ExecFloods:
				if out.Len() < 1<<20 {
					t.Errorf("the command wrote %d bytes", out.Len())
				}
			case ExecEscapes:
				if out.String() != HostileText || errout.String() != HostileText {
					t.Errorf("the command wrote %q and %q", out.String(), errout.String())
				}
			default:
				if out.Len() != 0 {
					t.Errorf("the command wrote %q", out.String())
				}
			}
		})
	}
}

func holds(err error, text string) bool {
	if text == "" || err == nil {
		return text == "" && err == nil
	}
	return strings.Contains(err.Error(), text)
}

package install

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// How many round trips a check and a copy take, by a clock on which nothing else
// takes time. Fewer are not to be had with x/crypto:
//
//	1 TCP; 2 the versions and KEXINITs, 3 the key exchange, 4 the service, 5 "none",
//	6 whether a key would do, 7 its signature or the password.
//
// RFC 4252 would allow to leave out 5, to sign at 6, and not to wait at 4; the
// flow of x/crypto's client is its own. Then a copy opens a channel (8) and runs
// its one command (9), which brings the key, has it on the disk and reads it back.
// The second connection is made meanwhile, once the first is let in: one that is
// begun before, and left where the login fails, is what servers punish
// (PerSourcePenalties noauth), and would count twice for MaxStartups.
func TestFlights(t *testing.T) {
	const trip = time.Second
	for _, tt := range []struct {
		name    string
		methods []string
		there   bool // the key is
		more    int  // other keys of ours, before it
		work    func(ctx context.Context, host *connect.Host, key sshkey.Public) []record.Record
		want    string
		flights int
	}{
		{"check", nil, true, 0, check, "ok login", 7},
		{"check, the second key", nil, true, 1, check, "ok login", 8},
		{"check, refused", nil, false, 0, check, "fail key-refused", 6},
		{"copy", nil, false, 0, copyKey, "done key-added, ok login", 14},
		{"copy to a server that prompts", []string{sshtest.PublicKey, sshtest.KeyboardInteractive}, false, 0, copyKey, "done key-added, ok login", 16},
		{"copy of what is there", nil, true, 0, copyKey, "ok key-present, ok login", 14},
	} {
		t.Run(tt.name, func(t *testing.T) {
			home := t.TempDir()
			key := sshtest.NewKey(t, home, "ed25519")
			var files strings.Builder
			for range tt.more {
				files.WriteString("IdentityFile " + sshtest.NewKey(t, t.TempDir(), "ed25519").File + "\n")
			}
			synctest.Test(t, func(t *testing.T) {
				network := sshtest.NewPipes()
				pi := sshtest.StartPi(t, sshtest.PiConfig{Methods: tt.methods, Latency: trip, Listener: network})
				if tt.there {
					pi.Authorize(t, key.Line)
				}
				file := func(name, content string) string {
					path := filepath.Join(home, name)
					if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
					return path
				}
				known := file("known_hosts", "pi "+strings.TrimPrefix(pi.KnownHosts(), "[127.0.0.1]:22 "))
				c := connect.New(connect.Options{Home: home, Timeout: time.Hour,
					ConfigFile:   file("config", "Host pi\nUser pi\nUserKnownHostsFile "+known+"\n"+files.String()+"IdentityFile "+key.File+"\n"),
					PasswordFile: file("password", pi.Password+"\n"),
					Getenv:       func(string) string { return "" },
					Note:         func(string, string, ...any) {},
					Trace:        func(int, string, string, ...any) {},
					Dial: func(ctx context.Context, n, address string) (net.Conn, error) {
						time.Sleep(trip)
						return network.Dial(ctx, n, address)
					},
				})
				defer c.Close()
				d, err := destination.Parse("pi")
				if err != nil {
					t.Fatal(err)
				}
				host, err := c.Host(t.Context(), "pi", d)
				if err != nil {
					t.Fatal(err)
				}
				public, err := sshkey.ParsePublic(key.Line)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				var got []string
				for _, r := range tt.work(t.Context(), host, public) {
					got = append(got, string(r.Verdict)+" "+r.Cause)
				}
				took := time.Since(began)
				if got := strings.Join(got, ", "); got != tt.want || took != time.Duration(tt.flights)*trip {
					t.Errorf("%s after %v, want %s after %d", got, took, tt.want, tt.flights)
				}
			})
		})
	}
}

func check(ctx context.Context, host *connect.Host, _ sshkey.Public) []record.Record {
	client, _, records := diagnose.Check(ctx, host, diagnose.Look{})
	if client != nil {
		client.Close()
	}
	return records
}

func copyKey(ctx context.Context, host *connect.Host, key sshkey.Public) []record.Record {
	return Job{Keys: []sshkey.Public{key}}.Copy(ctx, host)
}

//go:build unix

package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshtest"
)

// A password that is wrong on three targets, and right on none, goes to no
// fourth, however many are worked on at once.
func TestWrongPasswordIsNotTriedOn(t *testing.T) {
	for _, jobs := range []int{1, 8} {
		for _, right := range []int{-1, 1} { // which of the six has the password
			if jobs > 1 && right >= 0 {
				continue // whether it is among the first three is chance
			}
			t.Run(fmt.Sprintf("-j %d, right on %d", jobs, right), func(t *testing.T) {
				t.Parallel()
				var pis []*sshtest.Pi
				var known strings.Builder
				args := []string{"-i", "-", "--keep-order", "-j", strconv.Itoa(jobs)}
				for i := range 6 {
					config := sshtest.PiConfig{}
					if i == right {
						config.Password = "the one"
					}
					pi := sshtest.StartPi(t, config)
					pis = append(pis, pi)
					known.WriteString(pi.KnownHosts())
					args = append(args, "pi@"+pi.Addr)
				}
				me := newTraveller(t, pis[0].Endpoint)
				me.file(".ssh/known_hosts", known.String())
				public, _ := me.run(0, "", "pikeygen")
				args = append(args, "--password-file", me.file("password", "the one\n"))
				records, _ := me.run(1, public, "pikeycopy", args...)
				want := slices.Concat(slices.Repeat([]string{"fail password-unsent"}, 3), slices.Repeat([]string{"fail password-wrong"}, 3))
				most := 3
				if right >= 0 {
					want = append([]string{"done key-added", "ok login"}, slices.Repeat([]string{"fail password-wrong"}, 5)...)
					most = 6
				}
				got := outcomes(records)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Errorf("outcomes %q, want %q\n%s", got, want, records)
				}
				sent := 0
				for i, pi := range pis {
					n := pi.Counts().Passwords
					sent += n
					if n > 1 {
						t.Errorf("target %d was sent %d passwords", i, n)
					}
				}
				if sent != most {
					t.Errorf("%d passwords were sent, want %d", sent, most)
				}
				if n := strings.Count(records, "not sent"); n != 6-most {
					t.Errorf("%d records say that it was not sent, want %d\n%s", n, 6-most, records)
				}
			})
		}
	}
}

// The same for a password of many lines in the file of --passwords, while a line
// of its own that is wrong stops no other.
func TestWrongPasswordsOfAList(t *testing.T) {
	t.Parallel()
	var known, passwords, hosts strings.Builder
	words := []string{"shared", "wrong 0", "shared", "wrong 1", "shared", "wrong 2", "shared", "wrong 3", "shared", "", ""}
	var pis []*sshtest.Pi
	for i, word := range words {
		pi := sshtest.StartPi(t, sshtest.PiConfig{})
		pis = append(pis, pi)
		known.WriteString(pi.KnownHosts())
		fmt.Fprintf(&hosts, "pi@%s\n", pi.Addr)
		if i == len(words)-1 {
			break // it has no line
		}
		if word == "" {
			word = pi.Password
		}
		fmt.Fprintf(&passwords, "ssh://pi@%s\t%s\n", pi.Addr, word)
	}
	me := newTraveller(t, pis[0].Endpoint)
	me.file(".ssh/known_hosts", known.String())
	public, _ := me.run(0, "", "pikeygen")
	list := me.file("passwords", passwords.String())
	records, said := me.run(1, public, "pikeycopy", "-i", "-", "--keep-order", "-j1", "--passwords", list, "--hosts", me.file("hosts", hosts.String()))
	wrong, unsent := "fail password-wrong", "fail password-unsent"
	wantOutcomes(t, records, wrong, wrong, wrong, wrong, wrong, wrong, unsent, wrong, unsent, "done key-added", "ok login", "fail password-needed")
	for i, pi := range pis {
		want := map[bool]int{true: 1}[i != 6 && i != 8 && i < 9]
		if i == 9 {
			want = 2 // to act, and where the proof could not end in a login else
		}
		if n := pi.Counts().Passwords; n > want || n == 0 && want > 0 {
			t.Errorf("target %d was sent %d passwords, want %d", i, n, want)
		}
	}
	for _, word := range words {
		if word != "" && strings.Contains(records+said, word) {
			t.Errorf("the password %q is told", word)
		}
	}
	// pikeycheck looks inside where a line has the password, and asks nobody else.
	records, _ = me.run(1, "", "pikeycheck", "--keep-order", "--passwords", list, "-o", "IdentityFile="+sshtest.NewKey(t, me.home, "ecdsa").File,
		"pi@"+pis[9].Addr, "pi@"+pis[10].Addr)
	wantOutcomes(t, records, "fail key-not-installed", "fail key-refused")
}

// A real server that hangs up at the wrong password, since it allows no more tries,
// logs that it was sent once, by each program; the line of another account of the
// same host is for that account.
func TestWrongPasswordOfARealServer(t *testing.T) {
	t.Parallel()
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"MaxAuthTries 2"}})
	anna, ben := sshtest.AddUser(t, sshtest.UserConfig{}), sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	public, _ := me.run(0, "", "pikeygen")
	at := func(user *sshtest.User) string { return user.Name + "@" + server.Addr }
	list := me.file("passwords", at(anna)+"\t"+anna.Password+"\n"+at(ben)+"\t"+anna.Password+"\n")
	refusals := func() int {
		return len(regexp.MustCompile("Failed password for "+ben.Name).FindAllString(server.Log(), -1))
	}
	records, _ := me.run(1, public, "pikeycopy", "-i", "-", "--keep-order", "--passwords", list, "--hosts", me.file("hosts", at(anna)+"\n"+at(ben)+"\n"))
	lines := strings.SplitAfter(records, "\n")
	wantOutcomes(t, strings.Join(lines[:2], ""), "done key-added", "ok login")
	if !strings.Contains(lines[2], "\tfail\t") || refusals() != 1 {
		t.Errorf("sent %d times: %s", refusals(), records)
	}
	me.run(1, "", "pikeycheck", "--passwords", list, at(ben))
	if refusals() != 2 {
		t.Errorf("by pikeycheck sent %d times: %s", refusals()-1, server.Log())
	}
}

// One connection to act and one to prove, whatever there is to do. Only one on
// which no password may be sent has the key exchange that is cheap; and where the
// server does not punish that, no password follows a key that does not log in.
func TestConnectionsOfACopy(t *testing.T) {
	const (
		connections = 2
		safe        = ssh.KeyExchangeMLKEM768X25519
		cheap       = ssh.KeyExchangeECDHP256
	)
	tests := []struct {
		name       string
		setup      func(t *testing.T, me *traveller, pi *sshtest.Pi) (keys string, args []string)
		want       []string
		passwords  int
		exchanges  []string // of the connections that end in a login
		unpunished []string // the same, where the server punishes nobody
	}{
		{"fresh", func(*testing.T, *traveller, *sshtest.Pi) (string, []string) { return "", nil },
			[]string{"done key-added", "ok login"}, 1, []string{safe, safe}, []string{safe, cheap}},
		{"present", func(t *testing.T, me *traveller, pi *sshtest.Pi) (string, []string) {
			public, _ := me.run(0, "", "pikeygen")
			pi.Authorize(t, strings.TrimSpace(public))
			return "", nil
		}, []string{"ok key-present", "ok login"}, 0, []string{safe, cheap}, []string{safe, cheap}},
		{"present and restricted", func(t *testing.T, me *traveller, pi *sshtest.Pi) (string, []string) {
			public, _ := me.run(0, "", "pikeygen")
			other := sshtest.NewKey(t, me.home, "ecdsa")
			pi.Authorize(t, "restrict "+strings.TrimSpace(public), other.Line)
			return "", []string{"-o", "IdentityFile=" + other.File, "-o", "IdentityFile=" + filepath.Join(me.home, ".ssh", "id_ed25519")}
		}, []string{"ok key-present", "ok login"}, 0, []string{safe, cheap}, []string{safe, cheap}},
		{"twenty keys", func(t *testing.T, me *traveller, pi *sshtest.Pi) (string, []string) {
			var lines strings.Builder
			for range 20 {
				lines.WriteString(sshtest.NewKey(t, t.TempDir(), "ed25519").Line + "\n")
			}
			return lines.String(), nil
		}, append(slices.Repeat([]string{"done key-added"}, 20), slices.Repeat([]string{"ok accepted"}, 20)...), 2, []string{safe, safe}, []string{safe, safe}},
		{"no private half", func(t *testing.T, me *traveller, pi *sshtest.Pi) (string, []string) {
			return sshtest.NewKey(t, t.TempDir(), "ed25519").Line + "\n", nil
		}, []string{"done key-added", "ok accepted"}, 2, []string{safe, safe}, []string{safe, safe}},
		{"home writable", func(t *testing.T, me *traveller, pi *sshtest.Pi) (string, []string) {
			if err := os.Chmod(pi.Home, 0o777); err != nil {
				t.Fatal(err)
			}
			return "", nil
		}, []string{"done key-added", "fail home-writable"}, 2, []string{safe, safe}, []string{safe}},
	}
	const trixie = "SSH-2.0-OpenSSH_10.0p2 Debian-7"
	for _, tt := range tests {
		for _, version := range []string{trixie, sshtest.Bookworm} {
			passwords, exchanges := tt.passwords, tt.exchanges
			if version == sshtest.Bookworm {
				exchanges = tt.unpunished
				passwords = min(passwords, len(exchanges))
			}
			t.Run(tt.name+" "+version, func(t *testing.T) {
				t.Parallel()
				pi := sshtest.StartPi(t, sshtest.PiConfig{Version: version})
				me := newTraveller(t, pi.Endpoint)
				keys, args := tt.setup(t, me, pi)
				if keys == "" {
					keys, _ = me.run(0, "", "pikeygen")
				}
				status := 0
				if slices.ContainsFunc(tt.want, func(o string) bool { return strings.HasPrefix(o, "fail ") }) {
					status = 1
				}
				args = append(args, "-i", "-", "--password-file", me.file("password", pi.Password+"\n"), "pi@"+pi.Addr)
				records, _ := me.run(status, keys, "pikeycopy", args...)
				wantOutcomes(t, records, tt.want...)
				c := pi.Counts()
				for range 100 { // the last login may be counted after the program has ended
					if c.Logins == len(exchanges) {
						break
					}
					time.Sleep(10 * time.Millisecond)
					c = pi.Counts()
				}
				if c.Connections != connections {
					t.Errorf("%d connections, want %d", c.Connections, connections)
				}
				if !slices.Equal(c.Exchanges, exchanges) || c.Passwords != passwords {
					t.Errorf("the connections that ended in a login were by %q, want %q; %d passwords, want %d", c.Exchanges, exchanges, c.Passwords, passwords)
				}
			})
		}
	}
}

// A check that is nothing but a login by key has the key exchange that is cheap;
// one on which a password or a command may follow has ssh's.
func TestExchangesOfACheck(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	me := newTraveller(t, pi.Endpoint)
	public, _ := me.run(0, "", "pikeygen")
	pi.Authorize(t, strings.TrimSpace(public))
	password := me.file("password", pi.Password+"\n")
	for i, tt := range []struct {
		args []string
		want string
	}{
		{nil, ssh.KeyExchangeECDHP256},
		{[]string{"-v"}, ssh.KeyExchangeMLKEM768X25519},
		{[]string{"--shell"}, ssh.KeyExchangeMLKEM768X25519},
		{[]string{"--sftp"}, ssh.KeyExchangeMLKEM768X25519},
		{[]string{"--password-file", password}, ssh.KeyExchangeMLKEM768X25519},
		{[]string{"--inside-key", sshtest.NewKey(t, t.TempDir(), "ed25519").File}, ssh.KeyExchangeMLKEM768X25519},
	} {
		me.run(0, "", "pikeycheck", append(tt.args, "pi@"+pi.Addr)...)
		c := pi.Counts()
		for n := 0; n < 100 && len(c.Exchanges) <= i; n++ { // it may be counted after the program has ended
			time.Sleep(10 * time.Millisecond)
			c = pi.Counts()
		}
		if len(c.Exchanges) != i+1 || c.Exchanges[i] != tt.want {
			t.Fatalf("pikeycheck %q: by %q, want %s", tt.args, c.Exchanges, tt.want)
		}
	}
}

// A server that punishes addresses whose connections end without a login
// (PerSourcePenalties, OpenSSH 9.8 and later) takes twenty keys one after
// another. PIKEY_TEST_SSHD10 is the path of such an sshd.
func TestPenaltiesOfSSHD10(t *testing.T) {
	t.Parallel()
	sshd := os.Getenv("PIKEY_TEST_SSHD10")
	if sshd == "" {
		t.Skip("PIKEY_TEST_SSHD10 names no sshd of OpenSSH 9.8 or later")
	}
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Program: sshd})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	password := me.file("password", user.Password+"\n")
	target := user.Name + "@" + server.Addr
	for i := range 20 {
		key := filepath.Join(me.home, "key"+strconv.Itoa(i))
		public, _ := me.run(0, "", "pikeygen", "-f", key)
		records, _ := me.run(0, public, "pikeycopy", "-i", "-", "-o", "IdentityFile="+key, "--password-file", password, target)
		wantOutcomes(t, records, "done key-added", "ok login")
	}
	// That it does punish: logins that fail, until we have to wait for the next.
	other := filepath.Join(me.home, "other")
	me.run(0, "", "pikeygen", "-f", other)
	for i := range 10 {
		records, notes := me.run(1, "", "pikeycheck", "-o", "IdentityFile="+other, target)
		if strings.Contains(notes, "the server turns us away") {
			return
		}
		if i == 9 {
			t.Errorf("ten failed logins, and no penalty: %s%s", records, notes)
		}
	}
}

package session_test

import (
	"context"
	"errors"
	"net"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// offer returns a key of the test as one to offer.
func offer(t *testing.T, k sshtest.Key) session.Key {
	t.Helper()
	public, err := sshkey.ParsePublic(k.Line)
	if err != nil {
		t.Fatal(err)
	}
	return session.Key{Public: public, Name: k.File, Signer: func(context.Context, session.Exchange) (ssh.Signer, error) { return k.Signer, nil }}
}

func config(addr string, want func(ssh.PublicKey, net.Addr) error) session.Config {
	return session.Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		},
		User:         "pi",
		CheckHostKey: want,
	}
}

// trusts accepts the endpoint's own host key and no other.
func trusts(e sshtest.Endpoint) func(ssh.PublicKey, net.Addr) error {
	return func(key ssh.PublicKey, _ net.Addr) error {
		if !strings.Contains(e.KnownHosts(), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))) {
			return errors.New("not its host key")
		}
		return nil
	}
}

func password(secret string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) { return []byte(secret), nil }
}

func timeLimit(t *testing.T, d time.Duration) context.Context {
	ctx, _, _, cancel := session.Deadline(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func TestKeysThenPasswordOnOneConnection(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	a, b := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ecdsa")
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	cfg.Keys = []session.Key{offer(t, a), offer(t, b)}
	cfg.Password = password(pi.Password)
	client, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if rep.By != "password" || !rep.PasswordSent || len(rep.Offers) != 2 || rep.Offers[0].Answer != session.Refused || rep.Offers[1].Answer != session.Refused {
		t.Errorf("report %+v", rep)
	}
	if n := pi.Counts().Connections; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	out, _, status, err := client.Run(t.Context(), "echo out; echo err >&2; exit 3")
	if err != nil || status != 3 || string(out) != "out\n" {
		t.Errorf("Run: %q, %d, %v", out, status, err)
	}
}

// A key that cannot sign must not hide the one after it, and one that is only
// asked about must not cost the login.
func TestEachKeyHasItsOwnAttempt(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	broken, asked, good := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "rsa"), sshtest.NewKey(t, t.TempDir(), "ed25519")
	pi.Authorize(t, broken.Line, asked.Line, good.Line)
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	cfg.Keys = []session.Key{offer(t, broken), offer(t, asked), offer(t, good)}
	refusal := errors.New("agent refused operation")
	cfg.Keys[0].Signer = func(context.Context, session.Exchange) (ssh.Signer, error) { return nil, refusal }
	cfg.Keys[1].Signer = nil
	client, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	for i, want := range []session.Answer{session.SignFailed, session.Accepted, session.LogsIn} {
		if rep.Offers[i].Answer != want {
			t.Errorf("key %d: %s, want %s", i, rep.Offers[i].Answer, want)
		}
	}
	if !errors.Is(rep.Offers[0].Err, refusal) {
		t.Errorf("sign error %v", rep.Offers[0].Err)
	}
	if k, ok := rep.LoginKey(); !ok || !k.Public.Equal(cfg.Keys[2].Public) || rep.By != "publickey" {
		t.Errorf("LoginKey %v %v by %s", k, ok, rep.By)
	}
}

func TestMaxRefusedLeavesRoomForThePassword(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{MaxAuthTries: 4})
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	for range 6 {
		cfg.Keys = append(cfg.Keys, offer(t, sshtest.NewKey(t, t.TempDir(), "ed25519")))
	}
	cfg.MaxRefused = 2
	cfg.Password = password(pi.Password)
	client, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if len(rep.Offers) != 2 {
		t.Errorf("%d offered", len(rep.Offers))
	}
}

func TestTooManyTriesIsTheServersWord(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{MaxAuthTries: 3})
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	for range 6 {
		cfg.Keys = append(cfg.Keys, offer(t, sshtest.NewKey(t, t.TempDir(), "ed25519")))
	}
	_, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if err == nil {
		t.Fatal("logged in")
	}
	if !strings.Contains(strings.ToLower(rep.Disconnect), "too many authentication failures") {
		t.Errorf("disconnect %q (%v)", rep.Disconnect, err)
	}
}

// Nothing secret goes to a host that is not who it should be.
func TestNothingIsSentToAnUntrustedHost(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	wrong := errors.New("changed")
	cfg := config(pi.Addr, func(ssh.PublicKey, net.Addr) error { return wrong })
	cfg.Keys = []session.Key{offer(t, sshtest.NewKey(t, t.TempDir(), "ed25519"))}
	cfg.Password = func(context.Context) ([]byte, error) {
		t.Error("the password was asked for")
		return []byte(pi.Password), nil
	}
	_, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if !errors.Is(err, wrong) || rep.Stage != session.HostKey {
		t.Errorf("stage %s, error %v", rep.Stage, err)
	}
	if c := pi.Counts(); c.Passwords != 0 || c.Keys != 0 {
		t.Errorf("the server saw %+v", c)
	}
}

func TestWrongPasswordIsTriedOnce(t *testing.T) {
	for _, methods := range [][]string{
		{sshtest.Password}, {sshtest.KeyboardInteractive}, {sshtest.PublicKey, sshtest.Password, sshtest.KeyboardInteractive},
	} {
		pi := sshtest.StartPi(t, sshtest.PiConfig{Methods: methods})
		cfg := config(pi.Addr, trusts(pi.Endpoint))
		cfg.Password = password("wrong")
		_, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
		if err == nil || !rep.PasswordSent || rep.By != "" {
			t.Errorf("%v: by %q, sent %v, error %v", methods, rep.By, rep.PasswordSent, err)
		}
		if n := pi.Counts().Passwords; n != 1 {
			t.Errorf("%v: the server saw %d passwords, want 1", methods, n)
		}
	}
}

func TestKeyboardInteractive(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{Methods: []string{sshtest.KeyboardInteractive}})
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	cfg.Password = password(pi.Password)
	client, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if err != nil || rep.By != "keyboard-interactive" {
		t.Fatalf("by %s, error %v", rep.By, err)
	}
	client.Close()
}

// A signature that the server refuses is told from a key that it refuses, and
// one that is wrong from one that is right.
func TestSignatureRefused(t *testing.T) {
	t.Parallel()
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	sshd := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	refuses := sshtest.StartHostile(t, sshtest.RefusesSignature)
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		good, other := sshtest.NewKey(t, t.TempDir(), keyType), sshtest.NewKey(t, t.TempDir(), keyType)
		user.Authorize(t, good.Line)
		damaged := offer(t, good)
		damaged.Signer = func(context.Context, session.Exchange) (ssh.Signer, error) { return other.Signer, nil }
		for _, tt := range []struct {
			name string
			at   sshtest.Endpoint
			key  session.Key
			want session.Answer
			err  error
		}{
			{"the key itself", sshd.Endpoint, offer(t, good), session.LogsIn, nil},
			{"not there", sshd.Endpoint, offer(t, other), session.Refused, nil},
			{"signed by another", sshd.Endpoint, damaged, session.SignFailed, session.ErrSignature},
			{"refused though right", refuses.Endpoint, offer(t, good), session.SignatureRefused, nil},
		} {
			cfg := config(tt.at.Addr, trusts(tt.at))
			cfg.User, cfg.Keys = user.Name, []session.Key{tt.key}
			client, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
			if client != nil {
				client.Close()
			}
			if len(rep.Offers) != 1 || rep.Offers[0].Answer != tt.want || !errors.Is(rep.Offers[0].Err, tt.err) {
				t.Errorf("%s, %s: %v, %+v", keyType, tt.name, err, rep.Offers)
			}
		}
	}
}

// A key that a server lets in, only to end the connection, does not log in: for root
// that is asked, and for others it shows where the server is near. On a busy machine
// it may seem not to be, or to be slow.
func TestProveWhatIsCutOff(t *testing.T) {
	server := sshtest.StartHostile(t, sshtest.ClosesAfterLogin)
	cfg := config(server.Addr, trusts(server.Endpoint))
	cfg.Keys = []session.Key{offer(t, sshtest.NewKey(t, t.TempDir(), "ed25519"))}
	for user, tries := range map[string]int{"root": 1, "pi": 20} {
		cfg.User = user
		var rep *session.Report
		var err error
		for ; err == nil && tries > 0; tries-- {
			rep, err = session.Prove(timeLimit(t, 10*time.Second), cfg)
		}
		if _, byKey := rep.LoginKey(); !errors.Is(err, session.ErrCutOff) || !byKey {
			t.Errorf("%s: %v", user, err)
		}
	}
}

// No server holds us: each of these ends by the time limit, at the stage that
// it really reached, and none gets more than one secret.
func TestHostileServers(t *testing.T) {
	stages := map[sshtest.Hostile]session.Stage{
		sshtest.Silent: session.Versions, sshtest.ClosesAtOnce: session.Versions, sshtest.MaxStartups: session.Versions,
		sshtest.Penalised: session.Versions, sshtest.HTTP: session.Versions, sshtest.EndlessLines: session.Versions,
		sshtest.EndlessVersion: session.Versions, sshtest.Drips: session.Versions,
		sshtest.SSH1: session.Versions, sshtest.ResetsAfterVersion: session.KeyExchange,
		sshtest.GarbageAfterVersion: session.KeyExchange, sshtest.HangsInKex: session.KeyExchange,
		sshtest.NoCommonAlgorithm: session.KeyExchange, sshtest.Impostor: session.KeyExchange,
		sshtest.AnyoneLogsIn: session.LoggedIn, sshtest.ClosesAfterLogin: session.LoggedIn, sshtest.ExecFloods: session.LoggedIn, sshtest.ExecHangs: session.LoggedIn,
		sshtest.ExecForgets: session.LoggedIn, sshtest.ExecEscapes: session.LoggedIn,
		sshtest.RefusesChannel: session.LoggedIn, sshtest.RefusesExec: session.LoggedIn, sshtest.ChangesHostKey: session.LoggedIn,
		sshtest.OpensChannels: session.LoggedIn, sshtest.SignalEscapes: session.LoggedIn, sshtest.StderrFloods: session.LoggedIn,
		sshtest.ForgesMarks: session.LoggedIn, sshtest.AnswerDrips: session.LoggedIn, sshtest.AnswerTorn: session.LoggedIn,
		sshtest.AnswerReset: session.LoggedIn, sshtest.AnswerUnended: session.LoggedIn, sshtest.Lies: session.LoggedIn,
	}
	secretsNever := []sshtest.Hostile{sshtest.PromptsForNothing, sshtest.PromptsTwice, sshtest.PromptsEchoed, sshtest.PromptsForNew, sshtest.PromptsForKey}
	logins := map[sshtest.Hostile]error{
		sshtest.SSH1: session.ErrNotSSH2, sshtest.Impostor: session.ErrHostKey, sshtest.DebugFloods: session.ErrTooSlow, sshtest.BannerFloods: session.ErrTooSlow,
		sshtest.PromptsForNothing: session.ErrTooSlow, sshtest.PromptsAgain: session.ErrDenied, sshtest.WantsMore: session.ErrDenied,
	}
	runs := map[sshtest.Hostile]error{
		sshtest.ExecFloods: session.ErrTooSlow, sshtest.ExecHangs: session.ErrTooSlow, sshtest.StderrFloods: session.ErrTooSlow,
		sshtest.AnswerDrips: session.ErrTooSlow, sshtest.AnswerUnended: session.ErrTooSlow, sshtest.OpensChannels: session.ErrTooSlow,
		sshtest.RefusesChannel: session.ErrNoCommand, sshtest.RefusesExec: session.ErrNoCommand, sshtest.ChangesHostKey: session.ErrHostKeyTurned,
		sshtest.ClosesAfterLogin: session.ErrCutOff,
	}
	for _, way := range sshtest.Hostiles() {
		want := stages[way]
		if want == "" {
			want = session.Auth
		}
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			server := sshtest.StartHostile(t, way)
			cfg := config(server.Addr, trusts(server.Endpoint))
			cfg.Keys = []session.Key{offer(t, sshtest.NewKey(t, t.TempDir(), "ed25519"))}
			cfg.Password = password("secret")
			limit := time.Second
			begin, ctx := time.Now(), timeLimit(t, limit)
			client, rep, err := session.Login(ctx, cfg)
			if rep.Stage != want && errors.Is(err, session.ErrTooSlow) { // the machine is busy
				limit *= 10
				begin, ctx = time.Now(), timeLimit(t, limit)
				client, rep, err = session.Login(ctx, cfg)
			}
			if (err == nil) != (want == session.LoggedIn) || rep.Stage != want {
				t.Errorf("stage %s, want %s (%v)", rep.Stage, want, err)
			}
			if w := logins[way]; w != nil && !errors.Is(err, w) {
				t.Errorf("Login: %v, want %v", err, w)
			}
			if client != nil {
				out, _, _, err := client.Run(ctx, "printf abcd")
				if w := runs[way]; w != nil && !errors.Is(err, w) {
					t.Errorf("Run: %v, want %v", err, w)
				}
				if len(out) > 1<<20 {
					t.Errorf("%d bytes of output kept", len(out))
				}
				client.Close()
			}
			if d := time.Since(begin); d > limit+2*time.Second {
				t.Errorf("it held us for %v", d)
			}
			if len(rep.Start) > 4096 || len(rep.Banner) > 4096 {
				t.Errorf("%d and %d bytes kept of what the server said", len(rep.Start), len(rep.Banner))
			}
			counts := server.Counts()
			if counts.Passwords > 1 && limit == time.Second || counts.Passwords > 0 && slices.Contains(secretsNever, way) {
				t.Errorf("it got %d secrets", counts.Passwords)
			}
			if counts.Intrusions > 0 {
				t.Errorf("it was granted %d things", counts.Intrusions)
			}
		})
	}
}

// A dialogue that goes on after the password is told apart from one that asks
// something else to begin with.
func TestPromptsThatAreNotAnswered(t *testing.T) {
	for way, want := range map[sshtest.Hostile]session.PromptError{
		sshtest.PromptsExpired: {Questions: []string{"Current password: "}, New: true},
		sshtest.PromptsAgain:   {Questions: []string{"Password: "}, Again: true},
		sshtest.PromptsForCode: {Questions: []string{"Verification code: "}},
		sshtest.PromptsForNew:  {Questions: []string{"New password: "}},
		sshtest.PromptsTwice:   {Questions: []string{"Password: ", "Verification code: "}},
	} {
		server := sshtest.StartHostile(t, way)
		cfg := config(server.Addr, trusts(server.Endpoint))
		cfg.Password = password("secret")
		_, rep, _ := session.Login(timeLimit(t, 10*time.Second), cfg)
		var got *session.PromptError
		if !errors.As(rep.PasswordErr, &got) || !slices.Equal(got.Questions, want.Questions) || got.New != want.New || got.Again != want.Again {
			t.Errorf("%s: %+v, want %+v", way, rep.PasswordErr, want)
		}
	}
}

// Only what the server said no to is a refused password.
func TestAnswerToThePassword(t *testing.T) {
	for way, want := range map[sshtest.Hostile]session.Answer{
		sshtest.BannerEscapes:    session.Refused,
		sshtest.PromptsAgain:     session.Refused,
		sshtest.PromptsTwice:     "",
		sshtest.PromptsExpired:   session.Partial,
		sshtest.WantsMore:        session.Partial,
		sshtest.ClosesAtPassword: session.Unanswered,
		sshtest.Lies:             session.LogsIn,
	} {
		server := sshtest.StartHostile(t, way)
		cfg := config(server.Addr, trusts(server.Endpoint))
		cfg.Password = password("secret")
		client, rep, err := session.Login(timeLimit(t, 10*time.Second), cfg)
		if err == nil {
			client.Close()
		}
		if rep.Password != want || rep.PasswordSent != (want != "") {
			t.Errorf("%s: %q, sent %v (%v), want %q", way, rep.Password, rep.PasswordSent, err, want)
		}
	}
}

func TestDeadlineStopsItsClockForAPerson(t *testing.T) {
	ctx, pause, resume, cancel := session.Deadline(t.Context(), 50*time.Millisecond)
	defer cancel()
	pause()
	time.Sleep(150 * time.Millisecond)
	if ctx.Err() != nil {
		t.Fatal("ended while paused")
	}
	resume()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), session.ErrTooSlow) {
		t.Errorf("cause %v", context.Cause(ctx))
	}
}

// x/crypto passes over a key that has no algorithm in common with the server,
// without asking about it: that is no refusal of the key.
func TestKeyWithoutAlgorithmIsNotAsked(t *testing.T) {
	host := sshtest.NewKey(t, t.TempDir(), "ed25519").Signer
	config := &ssh.ServerConfig{
		PublicKeyAuthAlgorithms: []string{ssh.KeyAlgoED25519},
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			return nil, errors.New("no")
		},
	}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _, _, _ = ssh.NewServerConn(conn, config) // nobody gets in
		}
	}()
	_, rep, err := session.Login(timeLimit(t, 10*time.Second), session.Config{
		Dial:         func(context.Context) (net.Conn, error) { return net.Dial("tcp", listener.Addr().String()) },
		CheckHostKey: func(ssh.PublicKey, net.Addr) error { return nil },
		Keys: []session.Key{
			offer(t, sshtest.NewKey(t, t.TempDir(), "rsa")), offer(t, sshtest.NewKey(t, t.TempDir(), "ed25519")),
		},
	})
	if err == nil || len(rep.Offers) != 2 || rep.Offers[0].Answer != session.Unasked || rep.Offers[1].Answer != session.Refused {
		t.Errorf("offers %+v, error %v", rep.Offers, err)
	}
}

// A held connection has offered nothing, and goes on from where it is.
func TestHold(t *testing.T) {
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	key := sshtest.NewKey(t, t.TempDir(), "ed25519")
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	cfg.Keys = []session.Key{offer(t, key)}
	hold, checked := make(chan struct{}), make(chan struct{})
	cfg.Hold = hold
	trust := cfg.CheckHostKey
	cfg.CheckHostKey = func(key ssh.PublicKey, remote net.Addr) error {
		defer close(checked)
		return trust(key, remote)
	}
	time.AfterFunc(200*time.Millisecond, func() {
		select {
		case <-checked:
		default:
			t.Error("the host key is not checked while the connection is held")
		}
		if c := pi.Counts(); c.Connections != 1 || c.Keys != 0 {
			t.Errorf("while the connection is held the server has seen %+v", c)
		}
		pi.Authorize(t, key.Line)
		close(hold)
	})
	client, _, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()

	cfg.CheckHostKey, cfg.Hold = trust, make(chan struct{})
	if _, _, err := session.Login(timeLimit(t, 50*time.Millisecond), cfg); !errors.Is(err, session.ErrTooSlow) {
		t.Errorf("held for ever: %v", err)
	}
}

// What a server asks for on its own account is refused, not left without an answer.
func TestServerAsks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	server := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }}
	server.AddHostKey(sshtest.NewKey(t, t.TempDir(), "ed25519").Signer)
	answers := make(chan error, 2)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			answers <- err
			return
		}
		c, _, _, err := ssh.NewServerConn(conn, server)
		if err != nil {
			answers <- err
			return
		}
		_, _, err = c.OpenChannel("x11", nil)
		answers <- err
		yes, _, err := c.SendRequest("keepalive@openssh.com", true, nil)
		if yes {
			err = errors.New("granted")
		}
		answers <- err
	}()
	cfg := config(l.Addr().String(), func(ssh.PublicKey, net.Addr) error { return nil })
	cfg.Password = password("secret")
	client, _, err := session.Login(timeLimit(t, 10*time.Second), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []bool{true, false} {
		select {
		case err := <-answers:
			if _, ok := errors.AsType[*ssh.OpenChannelError](err); ok != refused || !ok && err != nil {
				t.Errorf("%v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("no answer")
		}
	}
	client.Close()
}

// A server that gives no sign of life is not asked for one.
func TestAliveAsks(t *testing.T) {
	for version, asks := range map[string]bool{"": true, "SSH-2.0-tinyssh_20230101-1 ODv5ZEDW": false} {
		pi := sshtest.StartPi(t, sshtest.PiConfig{Version: version})
		cfg := config(pi.Addr, trusts(pi.Endpoint))
		cfg.Password = password(pi.Password)
		client, _, err := session.Login(timeLimit(t, 10*time.Second), cfg)
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
		if alive := client.Alive(timeLimit(t, 10*time.Second)); alive == asks {
			t.Errorf("%q: alive %v on a closed connection", version, alive)
		}
	}
}

// ssh's ConnectTimeout ends with the server's version, and leaves the key
// exchange to other clocks.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	for mode, want := range map[sshtest.Hostile]error{
		sshtest.Silent: session.ErrSilent, sshtest.Drips: session.ErrSilent, sshtest.HangsInKex: session.ErrTooSlow,
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			e := sshtest.StartHostile(t, mode)
			cfg := config(e.Addr, trusts(e.Endpoint))
			cfg.ConnectTimeout = 200 * time.Millisecond
			if _, rep, err := session.Login(timeLimit(t, 2*time.Second), cfg); !errors.Is(err, want) {
				t.Errorf("%v at %s, want %v", err, rep.Stage, want)
			}
		})
	}
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	cfg.ConnectTimeout = 5 * time.Second
	cfg.Password = password(pi.Password)
	client, _, err := session.Login(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

// An RSA key signs by those algorithms alone that the caller lets be, in their order.
func TestKeyAlgorithms(t *testing.T) {
	t.Parallel()
	key := sshtest.NewKey(t, t.TempDir(), "rsa")
	authorized := filepath.Join(t.TempDir(), "authorized")
	if err := sshtest.WriteFile(authorized, []byte(key.Line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"AuthorizedKeysFile " + authorized, "StrictModes no", "PubkeyAcceptedAlgorithms rsa-sha2-256,ssh-rsa"}})
	for _, tt := range []struct {
		allowed []string
		logsIn  bool
	}{
		{[]string{"ssh-ed25519", "rsa-sha2-256", "rsa-sha2-512"}, true},
		{[]string{"rsa-sha2-512", "rsa-sha2-256-cert-v01@openssh.com"}, false},
		{[]string{"rsa-sha2-256-cert-v01@openssh.com"}, false},
		{[]string{"ssh-rsa", "rsa-sha2-512"}, true}, // SHA-1, for who asks for it
		{[]string{"rsa-sha2-512", "ssh-rsa"}, false},
		{nil, false},
	} {
		cfg := config(server.Addr, trusts(server.Endpoint))
		cfg.User, cfg.Keys, cfg.KeyAlgorithms = me.Username, []session.Key{offer(t, key)}, tt.allowed
		if _, err := session.Prove(timeLimit(t, 10*time.Second), cfg); (err == nil) != tt.logsIn || err != nil && !errors.Is(err, session.ErrDenied) {
			t.Errorf("%q: %v", tt.allowed, err)
		}
	}
}

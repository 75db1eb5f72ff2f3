package sshtest

import (
	"io"
	"net"
	"slices"
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
	const late = "no error, but only once the connection has ended"
	const denied = "unable to authenticate"
	const version = Bookworm + "\r\n"
	tests := map[Hostile]struct {
		login   string // what the error of the login holds; "" for none
		run     string // the same of the command
		bytes   string // what the port says first
		secrets int    // that this client sends, which answers whatever is asked; -1 for many
	}{
		Silent:              {login: hangs},
		ClosesAtOnce:        {login: closed},
		MaxStartups:         {login: "EOF", bytes: "Exceeded MaxStartups\r\n"},
		Penalised:           {login: "EOF", bytes: "Not allowed at this time\r\n"},
		HTTP:                {login: "EOF", bytes: "HTTP/1.1 400 Bad Request\r\n"},
		EndlessLines:        {login: "ssh: ", bytes: "this is no version line\r\nthis is"},
		EndlessVersion:      {login: "overflow", bytes: "SSH-2.0-" + strings.Repeat("A", 5000)},
		SSH1:                {login: hangs, bytes: "SSH-1.5-1.2.27\n"},
		Drips:               {login: hangs, bytes: "S"},
		ResetsAfterVersion:  {login: closed, bytes: version},
		GarbageAfterVersion: {login: "ssh: ", bytes: version + "\xff\xff"},
		NoCommonAlgorithm:   {login: "no common algorithm", bytes: version},
		HangsInKex:          {login: hangs, bytes: version + "\x00\x00"},
		Impostor:            {login: "did not verify", bytes: version},
		ClosesAfterKex:      {login: closed, bytes: version},
		HangsInAuth:         {login: hangs, bytes: version},
		HugePacket:          {login: "ssh: ", bytes: version},
		DebugFloods:         {login: hangs, bytes: version},
		DisconnectEscapes:   {login: "ssh: disconnect, reason 2", bytes: version},
		BannerEscapes:       {login: denied, bytes: version, secrets: 1},
		BannerFloods:        {login: hangs, bytes: version},
		SucceedsUnasked:     {login: denied, bytes: version, secrets: 1},
		RefusesSignature:    {login: denied, bytes: version, secrets: 1},
		WantsMore:           {login: "too many authentication attempts", bytes: version, secrets: -1},
		ClosesAtPassword:    {login: closed, bytes: version, secrets: 1},
		PasswordExpired:     {login: "unexpected message type 60", bytes: version, secrets: 1},
		PromptsExpired:      {login: denied, bytes: version, secrets: 4},
		PromptsAgain:        {login: denied, bytes: version, secrets: 1000},
		PromptsForNothing:   {login: hangs, bytes: version},
		PromptsTwice:        {login: denied, bytes: version, secrets: 2},
		PromptsEchoed:       {login: denied, bytes: version, secrets: 1},
		PromptsForCode:      {login: denied, bytes: version, secrets: 2},
		PromptsForNew:       {login: denied, bytes: version, secrets: 2},
		PromptsForKey:       {login: denied, bytes: version, secrets: 1},
		AnyoneLogsIn:        {bytes: version},
		ClosesAfterLogin:    {run: "EOF", bytes: version},
		ExecFloods:          {run: hangs, bytes: version},
		ExecHangs:           {run: hangs, bytes: version},
		ExecForgets:         {bytes: version},
		ExecEscapes:         {run: "status 1", bytes: version},
		RefusesChannel:      {run: "prohibited", bytes: version, secrets: 1},
		RefusesExec:         {run: "failed", bytes: version, secrets: 1},
		ChangesHostKey:      {run: "without exit status", bytes: version, secrets: 1},
		OpensChannels:       {run: hangs, bytes: version, secrets: 1},
		SignalEscapes:       {run: "from signal", bytes: version, secrets: 1},
		StderrFloods:        {run: hangs, bytes: version, secrets: 1},
		ForgesMarks:         {bytes: version, secrets: 1},
		AnswerDrips:         {run: hangs, bytes: version, secrets: 1},
		AnswerTorn:          {bytes: version, secrets: 1},
		AnswerReset:         {run: "without exit status", bytes: version, secrets: 1},
		AnswerUnended:       {run: late, bytes: version, secrets: 1},
		Lies:                {bytes: version, secrets: 1},
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
				config.Auth = []ssh.AuthMethod{ssh.PublicKeys(key), ssh.Password("secret"),
					ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
						return slices.Repeat([]string{"secret"}, len(questions)), nil
					})}
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
				moment = time.Second // also on a busy machine it is long enough for the banner
			case tt.run == hangs, tt.run == late:
				moment = time.Second
			}
			client, channels, requests, err := ssh.NewClientConn(dial(moment), server.Addr, config)
			if tt.login == closed && (holds(err, "EOF") || holds(err, "reset by peer") || holds(err, "closed network connection")) {
				return
			}
			if !holds(err, tt.login) {
				t.Fatalf("logging in: %v, want %q", err, tt.login)
			}
			if want := map[bool]string{true: HostileText}[way == BannerEscapes]; way != BannerFloods && banner != want {
				t.Errorf("the banner is %q, want %q", banner, want)
			}
			if way == BannerFloods && banner == "" {
				t.Error("no banner")
			}
			if n := server.Counts().Passwords; n != tt.secrets && tt.secrets >= 0 {
				t.Errorf("the server has seen %d secrets, want %d", n, tt.secrets)
			}
			if err != nil {
				return
			}
			var out, errout strings.Builder
			start := time.Now()
			session, err := ssh.NewClient(client, channels, requests).NewSession()
			if err == nil {
				session.Stdout, session.Stderr = &out, &errout
				err = session.Run("printf abcd")
			}
			if tt.run == hangs || tt.run == late {
				// x/crypto does not hand on why the connection ended.
				if (err == nil) != (tt.run == late) || time.Since(start) < 500*time.Millisecond {
					t.Errorf("the command ends after %v: %v", time.Since(start), err)
				}
			} else if !holds(err, tt.run) {
				t.Errorf("running a command: %v, want %q", err, tt.run)
			}
			switch way {
			case ExecFloods, StderrFloods:
				if n := out.Len() + errout.Len(); n < 100<<10 {
					t.Errorf("the command wrote %d bytes", n)
				}
			case ExecEscapes:
				if out.String() != HostileText || errout.String() != HostileText {
					t.Errorf("the command wrote %q and %q", out.String(), errout.String())
				}
			case ChangesHostKey, ForgesMarks:
				if out.Len() == 0 {
					t.Error("the command wrote nothing")
				}
			case AnswerDrips:
				if !strings.HasPrefix("ab", out.String()) {
					t.Errorf("the command wrote %q", out.String())
				}
			default:
				want := map[Hostile]string{AnswerTorn: "ab", AnswerReset: "ab", AnswerUnended: "abcd", Lies: "abcd"}[way]
				if out.String() != want {
					t.Errorf("the command wrote %q, want %q", out.String(), want)
				}
			}
			if n := server.Counts().Intrusions; n != 0 {
				t.Errorf("a client that grants nothing has granted %d things", n)
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

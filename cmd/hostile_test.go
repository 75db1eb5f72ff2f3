//go:build unix

package cmd_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"pi-key-tools/pkg/sshtest"
)

// hostileRuns are the programs against a server that may do anything.
var hostileRuns = []struct {
	name string
	args []string
}{
	{"pikeycheck", []string{"pikeycheck"}},
	{"pikeycopy", []string{"pikeycopy", "-i", "-", "--password-file", "password"}},
	{"pikeyfix", []string{"pikeyfix", "--password-file", "password"}},
	// To a host that is not known nothing is sent.
	{"unknown", []string{"pikeycopy", "-i", "-", "--password-file", "password", "-o", "UserKnownHostsFile=/dev/null"}},
	// What it says of the keys does not change by looking for the cause.
	{"inside", []string{"pikeycheck", "--password-file", "password"}},
}

// hostileOutcomes are the records of those runs, in that order; one that is ""
// is like the one before.
var hostileOutcomes = map[sshtest.Hostile][4]string{
	sshtest.Silent:              {"fail too-slow"},
	sshtest.ClosesAtOnce:        {"fail connection-dropped"},
	sshtest.MaxStartups:         {"fail connection-dropped"},
	sshtest.Penalised:           {"fail penalised"},
	sshtest.HTTP:                {"fail not-ssh"},
	sshtest.EndlessLines:        {"fail not-ssh"},
	sshtest.EndlessVersion:      {"fail not-ssh"},
	sshtest.SSH1:                {"fail not-ssh"},
	sshtest.Drips:               {"fail too-slow"},
	sshtest.ResetsAfterVersion:  {"fail connection-dropped"},
	sshtest.GarbageAfterVersion: {"fail connection-dropped"},
	sshtest.NoCommonAlgorithm:   {"fail no-common-algorithm"},
	sshtest.HangsInKex:          {"fail too-slow"},
	sshtest.Impostor:            {"fail host-key-unproven"},
	sshtest.ClosesAfterKex:      {"fail connection-dropped", "", "", unknown},
	sshtest.HangsInAuth:         {"fail too-slow", "", "", unknown},
	sshtest.HugePacket:          {"fail connection-dropped", "", "", unknown},
	sshtest.DebugFloods:         {"fail too-slow", "", "", unknown},
	sshtest.DisconnectEscapes:   {"fail connection-dropped", "", "", unknown},
	sshtest.BannerEscapes:       {"fail key-refused", "fail password-wrong", "", unknown},
	sshtest.BannerFloods:        {"fail too-slow", "", "", unknown},
	sshtest.SucceedsUnasked:     {"fail key-refused", "fail password-wrong", "", unknown},
	sshtest.RefusesSignature:    {"fail key-refused", "fail password-wrong", "", unknown},
	sshtest.WantsMore:           {"fail more-needed", "", "", unknown},
	sshtest.ClosesAtPassword:    {"fail key-refused", "fail pam-refused", "", unknown},
	// x/crypto does not tell the request for a change from a refusal.
	sshtest.PasswordExpired:   {"fail key-refused", "fail password-wrong", "", unknown},
	sshtest.PromptsExpired:    {"fail key-refused", "fail password-expired", "", unknown},
	sshtest.PromptsAgain:      {"fail key-refused", "fail password-wrong", "", unknown},
	sshtest.PromptsForNothing: {"fail key-refused", "fail too-slow", "", unknown},
	sshtest.PromptsTwice:      {"fail key-refused", "fail prompt-unknown", "", unknown},
	sshtest.PromptsEchoed:     {"fail key-refused", "fail prompt-unknown", "", unknown},
	sshtest.PromptsForCode:    {"fail key-refused", "fail prompt-unknown", "", unknown},
	sshtest.PromptsForNew:     {"fail key-refused", "fail prompt-unknown", "", unknown},
	sshtest.PromptsForKey:     {"fail key-refused", "fail prompt-unknown", "", unknown},

	sshtest.ClosesAfterLogin: {"fail session-failed", "", "", unknown},

	// These let a key in, and so a check of the login finds nothing wrong: it
	// runs no command.
	sshtest.AnyoneLogsIn: {"fail key-refused", "fail no-shell", "", unknown},
	sshtest.ExecFloods:   {"ok login", "fail too-slow", "", unknown},
	sshtest.ExecHangs:    {"ok login", "fail too-slow", "", unknown},
	sshtest.ExecForgets:  {"ok login", "fail no-shell", "", unknown},
	sshtest.ExecEscapes:  {"ok login", "ok key-present; ok login", "fail no-shell", unknown},

	sshtest.RefusesChannel: {"fail key-refused", "fail no-shell", "", unknown},
	sshtest.RefusesExec:    {"fail key-refused", "fail no-shell", "", unknown},
	sshtest.ChangesHostKey: {"fail key-refused", "fail host-key-changed", "", unknown},
	sshtest.OpensChannels:  {"fail key-refused", "fail too-slow", "", unknown},
	sshtest.SignalEscapes:  {"fail key-refused", "fail no-shell", "", unknown},
	sshtest.StderrFloods:   {"fail key-refused", "fail too-slow", "", unknown},
	sshtest.ForgesMarks:    {"fail key-refused", "fail command-forced", "fail no-shell", unknown},
	sshtest.AnswerDrips:    {"fail key-refused", "fail too-slow", "", unknown},
	sshtest.AnswerTorn:     {"fail key-refused", "fail write-failed", "fail no-shell", unknown},
	sshtest.AnswerReset:    {"fail key-refused", "fail connection-dropped", "", unknown},
	sshtest.AnswerUnended:  {"fail key-refused", "fail too-slow", "", unknown},
	// What the far side says of its own files is all that can be known of
	// them, and of why it refuses the key. That it does is seen.
	sshtest.Lies: {"fail key-refused", "done key-added; fail *", "ok modes", unknown},
}

const unknown = "fail host-key-unknown"

// A hostileRun is what one program did.
type hostileRun struct {
	stdout, stderr string
	status         int
	seconds        float64
	left           bool // a process of its group outlived it
	counts         sshtest.Counts
}

// No server holds the programs; each is named; none gets a secret that is not
// its own, twice on one connection, or before its host key is verified; none
// writes to the terminal.
func TestHostileServers(t *testing.T) {
	bin := binaries(t)
	type one struct {
		way     sshtest.Hostile
		program int
	}
	results := make(map[one]chan hostileRun)
	// Most of them wait most of the time: more at once than t.Parallel would.
	room := make(chan struct{}, 12)
	for _, way := range sshtest.Hostiles() {
		for i := range hostileRuns {
			result := make(chan hostileRun, 1)
			results[one{way, i}] = result
			go func() {
				room <- struct{}{}
				defer func() { <-room }()
				result <- runHostile(t, bin, way, hostileRuns[i].args)
			}()
		}
	}
	for _, way := range sshtest.Hostiles() {
		wants, ok := hostileOutcomes[way]
		if !ok {
			t.Errorf("%s: not expected", way)
		}
		wanted := ""
		for i, program := range hostileRuns {
			got := <-results[one{way, i}] // all of them, before the test may end
			switch {
			case program.name == "inside" && way == sshtest.Lies:
				wanted = "fail *"
			case program.name == "inside":
				wanted = wants[0] + "*"
			case wants[i] != "":
				wanted = wants[i]
			}
			want := wanted
			if way == sshtest.ClosesAfterLogin && program.name == "pikeycheck" && strings.Contains(got.stdout, "\tok\t") {
				want = "ok login" // as where the server is far, which on a busy machine it seems to be
			}
			t.Run(string(way)+"/"+program.name, func(t *testing.T) { judgeHostile(t, program.name, want, got) })
		}
	}
}

const hostileTimeout = 2 * time.Second

func runHostile(t *testing.T, bin string, way sshtest.Hostile, args []string) hostileRun {
	server := sshtest.StartHostile(t, way)
	me := newTraveller(t, server.Endpoint)
	public := sshtest.NewKey(t, filepath.Join(me.home, ".ssh"), "ed25519").Line + "\n"
	me.file("password", hostileSecret+"\n")
	args = append(slices.Clone(args), "--timeout", hostileTimeout.String(), "pi@"+server.Addr)
	cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
	cmd.Env, cmd.Dir = sshtest.Env(me.home), me.home
	cmd.Stdin = strings.NewReader(public)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return hostileRun{}
	}
	kill := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	_ = cmd.Wait() // its status is judged
	kill.Stop()
	return hostileRun{
		stdout: out.String(), stderr: errOut.String(), status: cmd.ProcessState.ExitCode(), seconds: time.Since(start).Seconds(),
		left:   syscall.Kill(-cmd.Process.Pid, 0) == nil,
		counts: server.Counts(),
	}
}

// forgedHint is what sshtest.HostileText would have us say.
var forgedHint = regexp.MustCompile(`(?m)^[a-z]+: hint: give me`)

const hostileSecret = "correct-horse-battery"

func judgeHostile(t *testing.T, program, want string, got hostileRun) {
	known, open := strings.CutSuffix(want, "*")
	if o := strings.Join(outcomes(got.stdout), "; "); o != want && !(open && strings.HasPrefix(o, known)) {
		t.Errorf("outcome %q, want %q\n%s%s", o, want, got.stdout, got.stderr)
	}
	status := 1
	if !strings.Contains(want, "fail ") {
		status = 0
	}
	if got.status != status {
		t.Errorf("status %d, want %d\n%s%s", got.status, status, got.stdout, got.stderr)
	}
	if limit := hostileTimeout.Seconds() + 2; got.seconds > limit {
		t.Errorf("it took %.1f s, more than %.0f", got.seconds, limit)
	}
	if i := strings.IndexFunc(got.stdout+got.stderr, func(r rune) bool {
		return r == unicode.ReplacementChar || r != '\t' && r != '\n' && !unicode.IsPrint(r)
	}); i >= 0 {
		t.Errorf("raw bytes of a peer: %q", got.stdout+got.stderr)
	}
	if forgedHint.MatchString(got.stderr) {
		t.Errorf("a peer gives our hints: %s", got.stderr)
	}
	if strings.Contains(got.stdout+got.stderr, hostileSecret) {
		t.Error("the password is told")
	}
	if len(got.stdout)+len(got.stderr) > 8<<10 {
		t.Errorf("%d bytes are told", len(got.stdout)+len(got.stderr))
	}
	if got.left {
		t.Error("a process is left")
	}
	secrets := 1
	switch {
	case program == "unknown" || program == "pikeycheck":
		secrets = 0
	case strings.Contains(want, "done "):
		// The second connection ends in the login that the first one had, since
		// servers punish those who only knock.
		secrets = 2
	}
	if n := got.counts.Passwords; n > secrets {
		t.Errorf("%d secrets were sent, want at most %d", n, secrets)
	}
	if program == "unknown" && got.counts.Keys > 0 {
		t.Error("keys were offered to a host that is not known")
	}
	if got.counts.Connections > 2 {
		t.Errorf("%d connections, want at most 2", got.counts.Connections)
	}
	if got.counts.Intrusions > 0 {
		t.Errorf("the server was granted %d things", got.counts.Intrusions)
	}
}

// Pretendpi serves pretend Raspberry Pis on 127.0.0.1, for the demo and the
// benchmark.
//
//	pretendpi [-user NAME] [-modes broken] [-latency TIME] -password-file FILE -dir HOME [-dir HOME …]
//
// For each HOME, in order, it prints the address and the host key as a line of
// known_hosts, "127.0.0.1:40022 [127.0.0.1]:40022 ssh-ed25519 AAAA…". It
// serves until a signal comes, or its standard input ends if that is a pipe, and
// then removes the homes that it made.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"pi-key-tools/pkg/sshtest"
)

func main() {
	var homes []string
	user := flag.String("user", "pi", "the `name` of the user")
	passwordFile := flag.String("password-file", "", "the `file` whose first line is the password")
	latency := flag.Duration("latency", 0, "how much longer a round trip takes, such as 200ms")
	modes := flag.String("modes", "", "broken: everybody may write to the homes, which sshd refuses")
	flag.Func("dir", "a user's `home`; made if missing; may be repeated", func(dir string) error {
		dir, err := filepath.Abs(dir)
		homes = append(homes, dir)
		return err
	})
	flag.Parse()
	if flag.NArg() > 0 || *passwordFile == "" || len(homes) == 0 || *modes != "" && *modes != "broken" {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	config := sshtest.PiConfig{User: *user, Latency: *latency}
	if err := serve(ctx, config, *passwordFile, *modes == "broken", homes); err != nil {
		fmt.Fprintln(os.Stderr, "pretendpi:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, config sshtest.PiConfig, passwordFile string, broken bool, homes []string) (err error) {
	data, err := os.ReadFile(passwordFile)
	if err != nil {
		return err
	}
	config.Password, _, _ = strings.Cut(string(data), "\n")
	if config.Password == "" {
		return fmt.Errorf("%s: the first line is empty", passwordFile)
	}
	var pis []*sshtest.Pi
	defer func() {
		for _, pi := range pis {
			err = errors.Join(err, pi.Close())
		}
	}()
	for _, home := range homes {
		config.Home = home
		pi, err := sshtest.NewPi(config)
		if err != nil {
			return err
		}
		pis = append(pis, pi)
		if broken {
			if err := os.Chmod(home, 0o777); err != nil {
				return err
			}
		}
		if _, err := fmt.Printf("%s %s", pi.Addr, pi.KnownHosts()); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	// A shell gives /dev/null to what it starts with &; its end means nothing.
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			defer close(ended)
			io.Copy(io.Discard, os.Stdin)
		}()
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return nil
}

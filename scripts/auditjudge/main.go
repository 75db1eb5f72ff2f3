//go:build linux

// Auditjudge judges the home of everybody who has an account on a card as sshd
// does that looks for keys in .ssh/authorized_keys alone, changes nothing, and
// prints how many homes it judged and how many findings there were. With -local
// it judges those files as this machine's: the accounts are the card's, and the
// paths lie below DIR.
//
//	auditjudge [-local] DIR
//
// scripts/auditbench measures it beside find and stat.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"pi-key-tools/pkg/fleet"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

func main() {
	local := flag.Bool("local", false, "judge by the paths of this machine")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := judge(context.Background(), flag.Arg(0), *local); err != nil {
		fmt.Fprintln(os.Stderr, "auditjudge:", err)
		os.Exit(1)
	}
}

type result struct {
	homes, found int
	err          error
}

func judge(ctx context.Context, dir string, local bool) error {
	card, err := hostfs.OpenCard(dir)
	if err != nil {
		return err
	}
	defer card.Close()
	accounts, err := card.Accounts(ctx)
	if err != nil {
		return err
	}
	var machine hostfs.FS = card
	above := ""
	if local {
		machine, above = hostfs.Local(), filepath.Clean(dir)
	}
	homes, found := 0, 0
	var failed error
	borrow, end := hostfs.Steadies(machine)
	defer end()
	fleet.Run(fleet.Batches(accounts, 50), 2*runtime.GOMAXPROCS(0), true, func(some []strictmodes.Account) result {
		tree, back := borrow()
		defer back()
		var r result
		for _, who := range some {
			who.Home = above + who.Home
			findings, err := strictmodes.Judge(ctx, tree, who, []string{who.Home + "/.ssh/authorized_keys"}, strictmodes.OpenSSH)
			r.homes, r.found, r.err = r.homes+1, r.found+len(findings), errors.Join(r.err, err)
		}
		return r
	}, func(r result) {
		homes, found, failed = homes+r.homes, found+r.found, errors.Join(failed, r.err)
	})
	if failed != nil {
		return failed
	}
	fmt.Printf("%d homes, %d findings\n", homes, found)
	return nil
}

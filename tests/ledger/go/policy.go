package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// policy is a C2SP tlog-policy: whose signatures count, and how many of them have to be there.
type policy struct {
	logs      map[string]bool
	witnesses []witness
	groups    []group
	quorum    string
}

// witness is one by the name that it has in the policy; of other types than 0x04 it never counts.
type witness struct {
	name string
	key  note.Verifier
}

type group struct {
	name    string
	least   int
	members []string
}

func readPolicy(file string) (*policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := &policy{logs: map[string]bool{}}
	names, members := map[string]bool{"none": true}, map[string]bool{}
	define := func(name string) error {
		if names[name] {
			return errors.New("the name " + name + " is taken")
		}
		names[name] = true
		return nil
	}
	for number, line := range strings.Split(string(data), "\n") {
		items := strings.Fields(line)
		if len(items) == 0 || strings.HasPrefix(items[0], "#") {
			continue
		}
		err := errors.New("not of a policy")
		switch {
		case items[0] == "log" && (len(items) == 2 || len(items) == 3):
			p.logs[items[1]], err = true, nil
		case items[0] == "witness" && (len(items) == 3 || len(items) == 4):
			if err = define(items[1]); err == nil {
				key, _ := newCosigner(items[2])
				p.witnesses = append(p.witnesses, witness{items[1], key})
			}
		case items[0] == "group" && len(items) > 3:
			g := group{items[1], 0, items[3:]}
			for _, member := range g.members {
				if !names[member] || member == "none" || members[member] {
					return nil, fmt.Errorf("line %d: %s is not defined, or a member twice", number+1, member)
				}
				members[member] = true
			}
			if err = define(g.name); err == nil {
				g.least, err = threshold(items[2], len(g.members))
			}
			p.groups = append(p.groups, g)
		case items[0] == "quorum" && len(items) == 2 && p.quorum == "" && names[items[1]]:
			p.quorum, err = items[1], nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d of the policy: %w", number+1, err)
		}
	}
	if p.quorum == "" {
		return nil, errors.New("the policy has no quorum")
	}
	return p, nil
}

func threshold(text string, members int) (int, error) {
	switch text {
	case "any":
		return 1, nil
	case "all":
		return members, nil
	}
	least, err := strconv.Atoi(text)
	if err != nil || least < 1 || least > members {
		return 0, errors.New("a threshold of " + text)
	}
	return least, nil
}

// verifiers returns the keys of all witnesses that can be checked here.
func (p *policy) verifiers() []note.Verifier {
	var found []note.Verifier
	for _, w := range p.witnesses {
		if w.key != nil {
			found = append(found, w.key)
		}
	}
	return found
}

// accepts says whether a checkpoint, all of whose known lines were verified, is one of a log of the
// policy and has its quorum.
func (p *policy) accepts(log note.Verifier, c checkpoint) error {
	ours := false
	for vkey := range p.logs {
		if known, err := note.NewVerifier(vkey); err == nil {
			ours = ours || known.Name() == log.Name() && known.KeyHash() == log.KeyHash()
		}
	}
	if !ours {
		return errors.New("the policy does not know the log " + log.Name())
	}
	there := map[string]bool{"none": true}
	for _, w := range p.witnesses {
		for _, line := range c.signed {
			if w.key != nil && line.Name == w.key.Name() && line.Hash == w.key.KeyHash() {
				there[w.name] = true
			}
		}
	}
	for _, g := range p.groups {
		count := 0
		for _, member := range g.members {
			if there[member] {
				count++
			}
		}
		there[g.name] = count >= g.least
	}
	if !there[p.quorum] {
		return fmt.Errorf("%d lines are on the checkpoint of %d; the policy asks for %s", len(c.signed)-1, c.size, p.quorum)
	}
	return nil
}

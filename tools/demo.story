# shellcheck shell=bash disable=SC2154 # the variables are those of tools/demo, which reads this file
# What the demo shows, in its order.

heading "Two VM hosts"
say "Two ssh servers on 127.0.0.1, each for one ordinary user, stand for two machines that" \
    "run User-Mode Linux. Ansible reaches them as it reaches any other host, by ssh and a key."
[ ! -e "$root/.cache/register-shim" ] ||
    say "This machine's CPU has AMX, so kernels before 6.13 run with the register shim of the role host."
begin_lab
run ansible vm_hosts -m ansible.builtin.ping -o
expect 'vm-a .*pong' && expect 'vm-b .*pong'

heading "Three instances out of nothing"
say "The role guest builds a small initrd from each VM host's own busybox; the role instances" \
    "starts the instances that the inventory declares: web1 and web2 on vm-a, db1 on vm-b."
run ansible-playbook uml.mconsole.demo
recap 2 '[1-9]'
then_say "A second run changes nothing."
run ansible-playbook uml.mconsole.demo
recap 2 0
good "changed=0"

heading "Discovered"
say "The inventory plugin queries the VM hosts. It keeps no record, so it also finds instances" \
    "that you started by hand."
cp "$root/tools/demo.uml.yml" inventory/2-lab.uml.yml
show inventory/2-lab.uml.yml
run ansible-inventory --graph
expect '--web1' && expect '--web2' && expect '--db1'

heading "The instances are hosts"
say "These guests have no Python, no sshd and no network: their kernels answer."
show first.yml
run with_ok_hosts ansible-playbook first.yml
recap 3 0
expect 'Linux [0-9.]+.* MB free'

heading "Reconfigured while they run"
say "Each instance gets a second disk and a console line. First, check mode shows the changes to web1:"
show devices.yml
run ansible-playbook uml.mconsole.reconfigure -e @devices.yml --limit web1 --check --diff
recap 1 1
then_say "That was check mode. Now make the changes, on all instances:"
run ansible-playbook uml.mconsole.reconfigure -e @devices.yml -e reconfigure_target=uml_instances
recap 3 1 '(web|db).*'
then_say "A second run changes nothing:"
run ansible-playbook uml.mconsole.reconfigure -e @devices.yml -e reconfigure_target=uml_instances
recap 3 0 '(web|db).*'
good "changed=0"

heading "The fleet"
run ansible-playbook uml.mconsole.status
expect 'vm-a +web1 +running .* ubd1\(16M\) +- +con1=pts'
expect 'vm-a +web2 +running .* ubd1\(16M\) +- +con1=pts'
expect 'vm-b +db1 +running .* ubd1\(16M\) +- +con1=pts'

heading "A prompt for all of them"
say "The module raw sends a console command; ansible-console is a prompt for the whole fleet."
run ansible uml_instances -m ansible.builtin.raw -a version
expect 'Linux web1 ' && expect 'Linux web2 ' && expect 'Linux db1 '

heading "Remove the lab"
say "Each guest shuts down, and its files are removed."
run ansible-playbook uml.mconsole.demo -e demo_target=vm_hosts -e demo_state=absent
recap 2 '[1-9]' 'vm-.*'
run ansible-playbook uml.mconsole.status
expect '^No instances'

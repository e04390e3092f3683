"""The test rig: real guests, real ssh servers, real ansible-playbook runs."""

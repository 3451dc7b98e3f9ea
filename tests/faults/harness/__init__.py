"""What the fault tests inject, drive and judge with. The tests themselves lie beside this folder."""
